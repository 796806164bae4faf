// Counts who takes which of a kernel's spin locks while it does what is graded.

#ifndef GRADER_LOCKS_H
#define GRADER_LOCKS_H

#include "harts.h"

enum { GRADER_MOST_LOCKS = 1024, GRADER_LOCK_NAME = 24 };

static struct lock_use {
  u64 lock;
  char name[GRADER_LOCK_NAME];
  u64 acquisitions[GRADER_MOST_HARTS], contended[GRADER_MOST_HARTS];
} lock_uses[GRADER_MOST_LOCKS];

// Whether a hart is inside what is graded: other locks do not count.
static u64 inside[GRADER_MOST_HARTS];

static struct lock_use *use_of(const void *lock) {
  for (u64 probe = 0; probe < GRADER_MOST_LOCKS; probe++) {
    struct lock_use *use = &lock_uses[((u64)lock / 8 + probe) % GRADER_MOST_LOCKS];
    u64 found = 0;
    if (load(&use->lock) == (u64)lock ||
        __atomic_compare_exchange_n(&use->lock, &found, (u64)lock, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE) ||
        found == (u64)lock)
      return use;
  }
  return 0;
}

// The name is copied: some kernels keep it where it is gone by the time that somebody asks for it.
void grader_lock_named(const void *lock, const char *name) {
  struct lock_use *use = use_of(lock);
  for (int at = 0; use && at < GRADER_LOCK_NAME - 1; at++) {
    char byte = name[at];
    use->name[at] = byte == 0 || (byte >= ' ' && byte < 127 && byte != '"' && byte != '\\') ? byte : '?';
    if (byte == 0)
      break;
  }
}

static const char *name_of_lock(const void *lock) {
  struct lock_use *use = use_of(lock);
  return use && use->name[0] ? use->name : "without a name";
}

void grader_lock_taken(const void *lock, volatile u32 *taken, unsigned long hart) {
  if (hart >= GRADER_MOST_HARTS || !inside[hart])
    return;
  struct lock_use *use = use_of(lock);
  if (use) {
    use->acquisitions[hart]++;
    use->contended[hart] += *taken != 0;
  }
  meet(lock, taken);
}

// What an interrupt on this hart could do, whatever it was doing.
static void (*on_interrupt)(u64 hart);

void grader_lock_given(unsigned long hart, int interruptible) {
  static u64 interrupted[GRADER_MOST_HARTS];
  if (hart >= GRADER_MOST_HARTS || !inside[hart])
    return;
  meet(0, 0);
  if (interruptible && on_interrupt && !interrupted[hart]) {
    interrupted[hart] = 1;
    on_interrupt(hart);
    interrupted[hart] = 0;
    inside[hart] = 1;
  }
}

unsigned long grader_lock_pause(unsigned long hart) {
  u64 paused = hart < GRADER_MOST_HARTS && inside[hart];
  if (paused)
    inside[hart] = 0;
  return paused;
}

void grader_lock_go_on(unsigned long hart, unsigned long paused) {
  if (paused)
    inside[hart] = 1;
}

static void forget_lock_uses(void) {
  for (int index = 0; index < GRADER_MOST_LOCKS; index++)
    for (int hart = 0; hart < GRADER_MOST_HARTS; hart++)
      lock_uses[index].acquisitions[hart] = lock_uses[index].contended[hart] = 0;
}

static void print_lock_uses(const char *of, u64 harts) {
  for (int index = 0; index < GRADER_MOST_LOCKS; index++) {
    struct lock_use *use = &lock_uses[index];
    u64 all = 0;
    for (u64 hart = 0; hart < harts; hart++)
      all += use->acquisitions[hart];
    if (!all)
      continue;
    begin_record("lock");
    print(",\"of\":\"%s\",\"name\":\"%s\",\"harts\":[", of, use->name[0] ? use->name : "without a name");
    for (u64 hart = 0; hart < harts; hart++)
      print("%s[%u,%u,0]", hart ? "," : "", use->acquisitions[hart], use->contended[hart]);
    print("]");
    end_record();
  }
}

#endif

// Several harts that run the clients of a workload, and the stamps that put what they did in order.
//
// Either each client has a hart of its own, and they race; or one hart plays them all and goes from one to another where
// locks are taken and given up, as the seed draws: then a run repeats itself, and a deadlock is known for one.

#ifndef GRADER_HARTS_H
#define GRADER_HARTS_H

#include "draw.h"
#include "report.h"
#include "script.h"
#include "switch.h"

enum { GRADER_MOST_HARTS = 8, GRADER_STACK = 16384 };

static u64 stamps;

// How often a part let others go on since anything was done: they can wait for one that waits for a lock.
static u64 idle_turns;

// No two are alike, and what ended before something else began has the smaller one.
static u64 stamp_now(void) {
  idle_turns = 0;
  return __atomic_fetch_add(&stamps, 1, __ATOMIC_SEQ_CST);
}

static u64 load(u64 *from) { return __atomic_load_n(from, __ATOMIC_ACQUIRE); }

static void store(u64 *to, u64 value) { __atomic_store_n(to, value, __ATOMIC_RELEASE); }

// ---- one hart that plays several ----------------------------------------------------------------------------------

static struct part {
  struct saved saved;
  u8 stack[GRADER_STACK] __attribute__((aligned(16)));
  int is_done;
  // The lock that it waits for, and the word that is zero when nobody has it.
  volatile u32 *waits_for;
  const void *lock;
} parts[GRADER_MOST_HARTS];

static int playing;
static u64 parts_count, part_now;
static struct draw part_draw;
static void (*part_work)(u64 hart);

static const char *name_of_lock(const void *lock);

static int is_blocked(struct part *part) { return !part->is_done && part->waits_for && *part->waits_for; }

static void give_up_on_deadlock(void) {
  begin_record("panic");
  print(",\"hart\":%u,\"file\":\"\",\"line\":0,\"message\":\"deadlock:", part_now);
  for (u64 hart = 0, named = 0; hart < parts_count; hart++)
    if (is_blocked(&parts[hart]))
      print("%s hart %u waits for lock %s", named++ ? "," : "", hart, name_of_lock(parts[hart].lock));
  print("\",\"backtrace\":[]");
  end_record();
  grader_power_off(1);
}

// Goes on with another part, or the same, as drawn.
static void switch_part(void) {
  u64 able = 0, chosen = 0, last = part_now;
  for (u64 hart = 0; hart < parts_count; hart++)
    if (!parts[hart].is_done && !is_blocked(&parts[hart]))
      chosen = below(&part_draw, ++able) == 0 ? hart : chosen;
  if (!able)
    give_up_on_deadlock();
  if (chosen == last)
    return;
  part_now = chosen;
  grader_become(chosen);
  grader_switch(&parts[last].saved, &parts[chosen].saved);
}

static void be_part(void) {
  for (;;) {
    part_work(part_now);
    parts[part_now].is_done = 1;
    switch_part();
  }
}

// Runs every part to its end. The first one has the stack of whoever calls this.
static void play(u64 harts, void (*work)(u64 hart)) {
  part_work = work;
  parts_count = harts;
  part_now = 0;
  for (u64 hart = 0; hart < harts; hart++) {
    parts[hart].is_done = 0;
    parts[hart].waits_for = 0;
    parts[hart].saved.registers[0] = (u64)be_part;
    parts[hart].saved.registers[1] = (u64)(parts[hart].stack + GRADER_STACK);
  }
  playing = 1;
  work(0);
  for (u64 hart = 1; hart < harts; hart++)
    while (!parts[hart].is_done)
      switch_part();
  playing = 0;
}

// Lets others go on, where one waits for what they do.
void grader_relax(void) {
  enum { LONG = 100000 };
  if (playing) {
    int blocked = 0;
    for (u64 hart = 0; hart < parts_count; hart++)
      blocked += is_blocked(&parts[hart]);
    // Whoever holds a lock that is waited for would have gone on by now.
    if (++idle_turns > LONG && blocked > 0)
      give_up_on_deadlock();
    switch_part();
  } else
    for (volatile int turn = 0; turn < 100; turn++)
      ;
}

// To be called where another hart could come first, with the lock that is about to be taken, or none. `taken` is not zero
// while somebody has it.
static void meet(const void *lock, volatile u32 *taken) {
  if (!playing)
    return;
  struct part *part = &parts[part_now];
  if (below(&part_draw, 2) == 0)
    switch_part();
  while (taken && *taken) {
    part->lock = lock;
    part->waits_for = taken;
    switch_part();
    part->waits_for = 0;
  }
}

// ---- harts that race ----------------------------------------------------------------------------------------------

static void (*work_of_harts)(u64 hart);
static u64 harts_at_work, harts_arrived, harts_done, work_number;

// Where all harts but the first go.
void grader_help(unsigned long hart) {
  u64 last = 0;
  __atomic_fetch_add(&harts_arrived, 1, __ATOMIC_ACQ_REL);
  for (;;) {
    u64 now = load(&work_number);
    if (now == last)
      continue;
    last = now;
    if (hart < harts_at_work) {
      work_of_harts(hart);
      __atomic_fetch_add(&harts_done, 1, __ATOMIC_ACQ_REL);
    }
  }
}

// Waits until they have come here, unless this one is to play them.
static void await_harts(u64 harts) {
  while (!is_interleaved() && load(&harts_arrived) + 1 < harts)
    ;
}

// Has harts 0 to `harts` - 1 do some work, this one among them, and waits until all have done theirs.
static void on_harts(u64 harts, void (*work)(u64 hart)) {
  if (is_interleaved()) {
    play(harts, work);
    return;
  }
  await_harts(harts);
  work_of_harts = work;
  harts_at_work = harts;
  store(&harts_done, 0);
  store(&work_number, work_number + 1);
  work(0);
  while (load(&harts_done) + 1 < harts)
    ;
}

#endif

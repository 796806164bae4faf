// Spin locks, and the longer ones of buffers.

#include "kernel.h"

static const u64 NOBODY = ~0ul;

void push_off(void) { interrupts_off[hart_number()]++; }

void pop_off(void) { interrupts_off[hart_number()]--; }

void initlock(struct spinlock *lock, const char *name) {
  (void)name;
  lock->locked = 0;
  lock->hart = NOBODY;
}

void acquire(struct spinlock *lock) {
  push_off();
  if (lock->locked && lock->hart == hart_number())
    panic("acquire");
  while (__atomic_exchange_n(&lock->locked, 1, __ATOMIC_ACQUIRE))
    ;
  lock->hart = hart_number();
}

void release(struct spinlock *lock) {
  if (!lock->locked || lock->hart != hart_number())
    panic("release");
  // Before it is given up: or the hart that had it last could take another one's lock for its own.
  lock->hart = NOBODY;
  __atomic_store_n(&lock->locked, 0, __ATOMIC_RELEASE);
  pop_off();
}

static void wait(void) {}

void acquire_buffer(struct spinlock *lock) {
  while (__atomic_exchange_n(&lock->locked, 1, __ATOMIC_ACQUIRE))
    wait();
}

void release_buffer(struct spinlock *lock) { __atomic_store_n(&lock->locked, 0, __ATOMIC_RELEASE); }

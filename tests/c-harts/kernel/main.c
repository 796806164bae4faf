// A kernel that consists of page lists, a buffer cache, locks, a serial port and a switch.

#include "kernel.h"

int interrupts_off[HARTS];

u64 hart_number(void) {
  u64 number;
  asm volatile("mv %0, tp" : "=r"(number));
  return number;
}

void put(char byte) { *(volatile char *)0x10000000 = byte; }

void power_off(int status) {
  *(volatile u32 *)0x100000 = status ? (u32)status << 16 | 0x3333 : 0x5555;
  for (;;)
    ;
}

void panic(const char *why) {
  for (const char *text = "panic: "; *text; text++)
    put(*text);
  for (; *why; why++)
    put(*why);
  put('\n');
  for (;;)
    ;
}

void *memset(void *start, int byte, u64 count) {
  for (u64 at = 0; at < count; at++)
    ((char *)start)[at] = (char)byte;
  return start;
}

void *memcpy(void *to, const void *from, u64 count) {
  for (u64 at = 0; at < count; at++)
    ((char *)to)[at] = ((const char *)from)[at];
  return to;
}

// Where nobody else provides a disk, all blocks are empty.
void disk_read_write(struct buffer *buffer, int write) {
  if (!write)
    memset(buffer->data, 0, BLOCK_SIZE);
}

static u32 started;

void main(u64 hart) {
  if (hart == 0) {
    kinit();
    binit();
    __atomic_store_n(&started, 1, __ATOMIC_RELEASE);
  }
  while (!__atomic_load_n(&started, __ATOMIC_ACQUIRE))
    ;
  test(hart);
}

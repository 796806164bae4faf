// A kernel that consists of a page allocator, a serial port and a switch.

#include "kernel.h"

void put(char byte) { *(volatile char *)0x10000000 = byte; }

void power_off(int status) {
  *(volatile unsigned *)0x100000 = status ? (unsigned)status << 16 | 0x3333 : 0x5555;
  for (;;)
    ;
}

void *memcpy(void *to, const void *from, u64 bytes) {
  for (u64 at = 0; at < bytes; at++)
    ((char *)to)[at] = ((const char *)from)[at];
  return to;
}

void *memset(void *start, int byte, u64 bytes) {
  for (u64 at = 0; at < bytes; at++)
    ((char *)start)[at] = (char)byte;
  return start;
}

void main(void) {
  kinit();
  test();
}

// A kernel that consists of processes that fork, a serial port and a switch.

#include "kernel.h"

void put(char byte) { *(volatile char *)0x10000000 = byte; }

void say(const char *text) {
  while (*text)
    put(*text++);
}

void power_off(int status) {
  *(volatile u32 *)0x100000 = status ? (u32)status << 16 | 0x3333 : 0x5555;
  for (;;)
    ;
}

void panic(const char *why) {
  say("panic: ");
  say(why);
  put('\n');
  for (;;)
    ;
}

void *memset(void *start, int byte, u64 count) {
  for (u64 at = 0; at < count; at++)
    ((volatile char *)start)[at] = (char)byte;
  return start;
}

void *memcpy(void *to, const void *from, u64 count) {
  for (u64 at = 0; at < count; at++)
    ((volatile char *)to)[at] = ((const char *)from)[at];
  return to;
}

void kernel_trap(void) { panic("a trap in the kernel"); }

struct frame *user_trap(void) {
  enum { CALL = 8, STORE_FAULT = 15 };
  u64 cause, address;
  asm volatile("csrr %0, scause\ncsrr %1, stval" : "=r"(cause), "=r"(address));
  struct frame *frame = running->frame;
  if (cause == CALL) {
    frame->registers[0] += 4;
    system_call(frame);
  } else if (cause != STORE_FAULT || write_fault(running->table, address) < 0) {
    say("a process is killed for a fault\n");
    exit(-1);
  }
  return running->frame;
}

void main(void) {
  kinit();
  start_first();
}

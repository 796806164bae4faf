#ifndef KERNEL_H
#define KERNEL_H

typedef unsigned long u64;

enum { PAGE = 4096 };
// The machine has 128 MiB.
#define MEMORY_END 0x88000000ul

extern char end[]; // kernel.ld

void put(char byte);
void power_off(int status) __attribute__((noreturn));

void kinit(void);
void *kallocn(u64 pages);
void kfreen(void *address, u64 pages);

// Tests the allocator, and does not come back.
void test(void) __attribute__((noreturn));

#endif

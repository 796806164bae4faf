#ifndef KERNEL_H
#define KERNEL_H

typedef unsigned int u32;
typedef unsigned long u64;

// Fewer pages than the machine has: filling them takes a moment.
enum { PAGE = 4096, HARTS = 4, BUFFERS = 12, BLOCK_SIZE = 1024 };
#define MEMORY_END 0x81000000ul

extern char end[]; // kernel.ld

struct spinlock {
  u32 locked;
  u64 hart;
};

struct buffer {
  u64 block;
  int valid, references;
  struct spinlock owner;
  struct buffer *next;
  char data[BLOCK_SIZE] __attribute__((aligned(8)));
};

// How deep a hart is in code that no interrupt may cut in two.
extern int interrupts_off[HARTS];

u64 hart_number(void);
void initlock(struct spinlock *lock, const char *name);
void acquire(struct spinlock *lock);
void release(struct spinlock *lock);
void push_off(void);
void pop_off(void);
void acquire_buffer(struct spinlock *lock);
void release_buffer(struct spinlock *lock);

void kinit(void);
void *kalloc(void);
void kfree(void *address);

void binit(void);
struct buffer *bread(u64 block);
void bwrite(struct buffer *buffer);
void brelse(struct buffer *buffer);
void bpin(struct buffer *buffer);
void bunpin(struct buffer *buffer);
void disk_read_write(struct buffer *buffer, int write);

void *memset(void *start, int byte, u64 count);
void panic(const char *why) __attribute__((noreturn));
void power_off(int status) __attribute__((noreturn));
void put(char byte);

// Tests the kernel on this hart, and does not come back.
void test(u64 hart) __attribute__((noreturn));

#endif

#ifndef KERNEL_H
#define KERNEL_H

typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long u64;

// Fewer pages than the machine has: filling them takes a moment.
enum { PAGE = 4096, PROCESSES = 12 };
#define MEMORY_START 0x80000000ul
#define MEMORY_END 0x81000000ul

// The kernel lies in every address space; what is a process's own is the second gigabyte: a page of code, one of data, one
// that is kept from it, its stack, and its heap.
#define USER_START 0x40000000ul
#define USER_DATA (USER_START + PAGE)
#define USER_GUARD (USER_START + 2 * PAGE)
#define USER_STACK (USER_START + 3 * PAGE)
#define USER_HEAP (USER_START + 4 * PAGE)
#define MAXVA (1ul << 38)

enum { PTE_V = 1, PTE_R = 2, PTE_W = 4, PTE_X = 8, PTE_U = 16, PTE_COW = 256 };
#define PTE_TO_PA(entry) ((entry) >> 10 << 12)
#define PA_TO_PTE(address) ((u64)(address) >> 12 << 10)

extern char end[]; // kernel.ld

// Registers of a process; number 0 is its program counter, and the last one where the kernel's stack for it begins.
struct frame {
  u64 registers[33];
};
enum { A0 = 10, A7 = 17, KERNEL_STACK = 32 };

struct process {
  int number;
  enum { UNUSED, RUNNABLE, ZOMBIE } state;
  struct process *parent;
  u64 *table;
  u64 size;
  struct frame *frame;
  char *stack;
  u64 context[14];
};

// kalloc.c
void kinit(void);
void *kalloc(void);
void kfree(void *page);
void share(void *page);
int is_shared(void *page);

// vm.c
u64 *walk(u64 *table, u64 address, int make);
int map(u64 *table, u64 address, void *page, u64 flags);
u64 *make_space(void);
int copy_space(u64 *from, u64 *to, u64 size);
void free_space(u64 *table, u64 size);
int write_fault(u64 *table, u64 address);
int copyout(u64 *table, u64 to, char *from, u64 bytes);

// process.c
extern struct process processes[PROCESSES];
extern struct process *running;
void start_first(void) __attribute__((noreturn));
void yield(void);
int fork(void);
int wait(void);
void exit(int status);
u64 grow(u64 bytes);

// calls.c
void system_call(struct frame *frame);

// main.c
void *memset(void *start, int byte, u64 count);
void *memcpy(void *to, const void *from, u64 count);
void put(char byte);
void say(const char *text);
void panic(const char *why) __attribute__((noreturn));
void power_off(int status) __attribute__((noreturn));

#endif

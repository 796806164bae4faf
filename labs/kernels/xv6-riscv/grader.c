// kernel/grader.c for grading: what the drivers need of xv6.
//
// The kernel is linked with --wrap for what is wrapped here. Without a script it runs as it is; with one, every hart comes
// here when the kernel is up, in place of its scheduler, and stays.

#include "types.h"
#include "param.h"
#include "memlayout.h"
#include "riscv.h"
#include "spinlock.h"
#include "sleeplock.h"
#include "fs.h"
#include "buf.h"
#include "proc.h"
#include "defs.h"

#include "forktest.h"
#include "grader.h"

extern char end[]; // kernel.ld
extern char grader_script[];
extern struct proc proc[];
extern struct cpu cpus[];

void __real_scheduler(void);
void __real_initlock(struct spinlock *lock, char *name);
void __real_acquire(struct spinlock *lock);
void __real_release(struct spinlock *lock);
void __real_sleep(void *channel, struct spinlock *lock);
void __real_wakeup(void *channel);
void __real_acquiresleep(struct sleeplock *lock);
void __real_releasesleep(struct sleeplock *lock);
int __real_holdingsleep(struct sleeplock *lock);
void __real_virtio_disk_rw(unsigned long first, unsigned long second, unsigned long third);

static int wants_processes(void);
static int wants_blocks(void);

static int has_script(void) { return grader_script[0] && grader_script[0] != '?'; }

// Whether the kernel's parts are driven, rather than its processes.
static int is_graded(void) { return has_script() && !wants_processes(); }

void grader_put(char byte) {
  volatile uint8 *serial = (uint8 *)UART0;
  while ((serial[5] & 0x20) == 0)
    ;
  serial[0] = byte;
}

unsigned long grader_memory_start(void) { return PGROUNDUP((uint64)end); }

unsigned long grader_memory_end(void) { return PGROUNDDOWN((uint64)PHYSTOP); }

void grader_power_off(int status) {
  // xv6 does not map the test device, and its own code and stacks are where they are without translation.
  w_satp(0);
  sfence_vma();
  *(volatile uint32 *)0x100000 = status ? (uint32)status << 16 | 0x3333 : 0x5555;
  for (;;)
    ;
}

void __wrap_initlock(struct spinlock *lock, char *name) {
  grader_lock_named(lock, name);
  __real_initlock(lock, name);
}

void __wrap_acquire(struct spinlock *lock) {
  push_off();
  int is_held = holding(lock);
  unsigned long hart = cpuid();
  pop_off();
  if (!is_held)
    grader_lock_taken(lock, &lock->locked, hart);
  __real_acquire(lock);
}

void __wrap_release(struct spinlock *lock) {
  __real_release(lock);
  // Interrupts are off here, so nobody else changes these.
  if (is_graded())
    grader_lock_given(cpuid(), mycpu()->noff == 0);
}

// Each hart has its number in this register, and finds out by it which processor's state is its own.
void grader_become(unsigned long hart) { w_tp(hart); }

// xv6 fills every page that it takes or gives, byte by byte, which would be most of what a session waits for.
void *__wrap_memset(void *start, int byte, uint count) {
  char *at = start, *end = at + count;
  for (; at < end && (uint64)at % 64; at++)
    *at = byte;
  for (uint64 word = 0x0101010101010101 * (uchar)byte; end - at >= 64; at += 64) {
    uint64 *words = (uint64 *)at;
    words[0] = words[1] = words[2] = words[3] = words[4] = words[5] = words[6] = words[7] = word;
  }
  for (; at < end; at++)
    *at = byte;
  return start;
}

// ---- the page allocator -----------------------------------------------------------------------------------------

void *__real_kalloc(void);
void __real_kfree(void *address);

void *__wrap_kalloc(void) {
  void *address = __real_kalloc();
  // Of other scripts, pages.c reports nothing.
  if (wants_blocks())
    grader_note_allocate(1, address);
  return address;
}

void __wrap_kfree(void *address) {
  __real_kfree(address);
  if (wants_blocks())
    grader_note_free(1, address);
}

// The buddy allocator of the 2019 lab, where there is one.
__attribute__((weak)) void *bd_malloc(uint64 bytes);
__attribute__((weak)) void bd_free(void *address);

void *kallocn(unsigned long pages) { return bd_malloc && pages ? bd_malloc(pages * PGSIZE) : 0; }

void kfreen(void *address, unsigned long pages) { bd_free(address); }

// The buddy allocator of 2019 has two bits for every sixteen bytes, of each size.
unsigned long grader_pages_kept_back(void) {
  return (grader_memory_end() - grader_memory_start()) / PGSIZE / 16;
}

int grader_manages_any_length(void) { return 1; }

// Supervisor mode is not allowed to read the counter here.
unsigned long grader_instructions(void) { return 0; }

// ---- the buffer cache -------------------------------------------------------------------------------------------

// The device that all blocks are on. No file system is mounted yet.
enum { DEVICE = 1 };

void *grader_buffer_read(unsigned long block) { return bread(DEVICE, block); }
void grader_buffer_write(void *buffer) { bwrite(buffer); }
void grader_buffer_release(void *buffer) { brelse(buffer); }
void grader_buffer_pin(void *buffer) { bpin(buffer); }
void grader_buffer_unpin(void *buffer) { bunpin(buffer); }
void *grader_buffer_data(void *buffer) { return ((struct buf *)buffer)->data; }

// Of the disk driver's parameters, early years have the number of the disk first.
void __wrap_virtio_disk_rw(unsigned long first, unsigned long second, unsigned long third) {
  int has_number = !__builtin_types_compatible_p(__typeof__(&virtio_disk_rw), void (*)(struct buf *, int));
  struct buf *buffer = (struct buf *)(has_number ? second : first);
  if (is_graded())
    grader_disk(buffer->blockno, buffer->data, has_number ? third : second);
  else
    __real_virtio_disk_rw(first, second, third);
}

// A hart that waits for a buffer has no process that could be switched away from.
void __wrap_sleep(void *channel, struct spinlock *lock) {
  if (!is_graded()) {
    __real_sleep(channel, lock);
    return;
  }
  __real_release(lock);
  grader_relax();
  __real_acquire(lock);
}

void __wrap_wakeup(void *channel) {
  // Nobody sleeps.
  if (!is_graded())
    __real_wakeup(channel);
}

// The spin lock inside a sleep lock is one buffer's own, and says nothing of the cache.
void __wrap_acquiresleep(struct sleeplock *lock) {
  unsigned long was_inside = grader_lock_pause(cpuid());
  __real_acquiresleep(lock);
  grader_lock_go_on(cpuid(), was_inside);
}

void __wrap_releasesleep(struct sleeplock *lock) {
  unsigned long was_inside = grader_lock_pause(cpuid());
  __real_releasesleep(lock);
  grader_lock_go_on(cpuid(), was_inside);
}

int __wrap_holdingsleep(struct sleeplock *lock) {
  unsigned long was_inside = grader_lock_pause(cpuid());
  int holding = __real_holdingsleep(lock);
  grader_lock_go_on(cpuid(), was_inside);
  return holding;
}

// ---- processes ---------------------------------------------------------------------------------------------------

// The name that the trap frame had until 2019.
#ifndef TRAP_FRAME_MEMBER
#define TRAP_FRAME_MEMBER trapframe
#endif

void __real_syscall(void);
void __real_exit(int status);
int __real_exec(char *path, char **arguments);
// Their names since 2025.
__attribute__((weak)) void __real_kexit(int status);
__attribute__((weak)) int __real_kexec(char *path, char **arguments);

static int directs_processes(void) { return has_script() && wants_processes(); }

static char *first_program(char *path) { return directs_processes() ? "/forktest" : path; }

int __wrap_exec(char *path, char **arguments) { return __real_exec(first_program(path), arguments); }
int __wrap_kexec(char *path, char **arguments) { return __real_kexec(first_program(path), arguments); }

void __wrap_exit(int status) {
  if (directs_processes())
    grader_ended();
  __real_exit(status);
}

void __wrap_kexit(int status) {
  if (directs_processes())
    grader_ended();
  __real_kexit(status);
}

void __wrap_syscall(void) {
  struct trapframe *frame = myproc()->TRAP_FRAME_MEMBER;
  if (directs_processes() && frame->a7 == FORKTEST_CALL)
    grader_asked((unsigned long *)&frame->a0);
  else
    __real_syscall();
}

const char grader_kernel[] = "xv6-riscv";

int grader_process(void) { return myproc()->pid; }

void grader_yield(void) { yield(); }

unsigned long grader_frame(int process, unsigned long address) {
  for (int each = 0; each < NPROC; each++) {
    if (proc[each].pid != process || !proc[each].pagetable)
      continue;
    uint64 *table = proc[each].pagetable, entry = 0;
    for (int level = 2; level >= 0; level--) {
      entry = table[address >> (12 + 9 * level) & 0x1ff];
      if (!(entry & PTE_V))
        return 0;
      table = (uint64 *)(entry >> 10 << 12);
    }
    return entry & PTE_U ? (unsigned long)table | ((entry & PTE_W) != 0) : 0;
  }
  return 0;
}

int grader_copy_out(unsigned long to, const void *from, unsigned long bytes) {
  return copyout(myproc()->pagetable, to, (char *)from, bytes);
}

// ---- the script -------------------------------------------------------------------------------------------------

// The drivers' own calls go straight to the allocator; all others are noted on their way.
#define kalloc __real_kalloc
#define kfree __real_kfree

#include "buffers.c"
#include "lists.c"
#include "pages.c"
#include "spaces.c"

static int wants_processes(void) {
  const char *script = grader_script;
  return word(&script, "forktest");
}

static int wants_blocks(void) {
  const char *script = grader_script;
  return word(&script, "buddytest");
}

static int run_line(const char *line) {
  if (word(&line, "kmemtest"))
    return run_lists(line);
  if (word(&line, "buffertest"))
    return run_buffers(line);
  return GRADER_UNKNOWN;
}

void __wrap_scheduler(void) {
  if (!is_graded()) {
    __real_scheduler();
    return;
  }
  unsigned long hart = cpuid();
  intr_off();
  // Sleep locks note whose they are. A hart may play others.
  for (int each = 0; hart == 0 && each < NCPU; each++) {
    cpus[each].proc = &proc[each];
    proc[each].pid = each + 1;
  }
  if (hart != 0)
    grader_help(hart);
  if (wants_blocks())
    grader_run("xv6-riscv");
  // Each says on the console that it starts.
  await_harts(asked_harts());
  begin_record("boot");
  print(",\"format\":1,\"kernel\":\"xv6-riscv\",\"harts\":%u,\"memory_pages\":%u,\"pages\":\"lab\"", asked_harts(),
        (grader_memory_end() - grader_memory_start()) / PGSIZE);
  end_record();
  grader_power_off(run_script(run_line));
}

// What a kernel in C gives the driver, and gets from it.
//
// The driver is freestanding: it needs no header of the kernel, and nothing of the compiler but its builtins. A glue file
// includes pages.c, or lists.c, buffers.c, spaces.c, or several of them, and provides what those call.

#ifndef GRADER_H
#define GRADER_H

// ---- marks ----------------------------------------------------------------------------------------------------------

// Instructions that a witness outside of the guest watches (reference-kernel/abi/src/mark.rs): it counts how often each is
// executed, so that what is reported without having happened is found out. What the driver does it marks itself.
#define GRADER_MARK(kind)                                                                                                \
  __asm__ volatile("2: nop\n.pushsection .grader_marks, \"\", @progbits\n.dword 2b, %0\n.popsection" ::"i"(kind))

enum {
  GRADER_MARK_POWERED_OFF = 1,
  GRADER_MARK_RECORD = 2,
  GRADER_MARK_PASSED = 3,
  GRADER_MARK_FAILED = 4,
  GRADER_MARK_DAMAGED = 5,
  GRADER_MARK_NOTED = 18, // an operation of what is under test, which will be in the trace
};

// ---- what the glue of a kernel kind provides ----------------------------------------------------------------------

// Writes one byte to the serial line, whoever else writes there.
void grader_put(char byte);
// Powers the machine off through the test device; status 0 is success.
void grader_power_off(int status) __attribute__((noreturn));

// For pages.c, lists.c and spaces.c: the memory that the allocator was given, from its first byte to one past its last.
unsigned long grader_memory_start(void);
unsigned long grader_memory_end(void);

// For pages.c: the kernel's own allocator of contiguous pages, which is under test.
void *kallocn(unsigned long pages);
void kfreen(void *address, unsigned long pages);
// Whether a buddy allocator manages memory of any length, rather than the largest power of two of pages in it.
int grader_manages_any_length(void);
// The most pages of it that an allocator may keep for its own books.
unsigned long grader_pages_kept_back(void);
// Guest instructions so far, or zero where the kernel cannot know.
unsigned long grader_instructions(void);

// For lists.c: the kernel's own lists of single pages, which are under test.
void *kalloc(void);
void kfree(void *address);

// For lists.c and buffers.c: makes this hart pass for another one, as the kernel tells its harts apart.
void grader_become(unsigned long hart);

// For buffers.c: the kernel's own buffer cache, which is under test. Each runs on the client's own hart, with a process
// for the cache to know it by.
void *grader_buffer_read(unsigned long block);
void grader_buffer_write(void *buffer);
void grader_buffer_release(void *buffer);
void grader_buffer_pin(void *buffer);
void grader_buffer_unpin(void *buffer);
// The bytes of the block that a buffer holds.
void *grader_buffer_data(void *buffer);

// For spaces.c, which needs kalloc and kfree too: what the kernel is called, the number of the process that runs, and what lets others run.
extern const char grader_kernel[];
int grader_process(void);
void grader_yield(void);
// The physical address that a process has at an address of its own, with 1 added where it may write; zero for none. Found
// without the kernel's own functions, which are under test.
unsigned long grader_frame(int process, unsigned long address);
// The kernel's copyout to the process that runs; zero if it succeeds.
int grader_copy_out(unsigned long to, const void *from, unsigned long bytes);

// ---- what the driver provides -------------------------------------------------------------------------------------

// pages.c: runs the script, reports what happened, and powers off. Call it on one hart, when the allocator is up.
void grader_run(const char *kernel) __attribute__((noreturn));

// pages.c: notes an operation that the kernel makes for itself, before the script runs. A null `address` is a refusal.
// Only where pages.c will report it: what is noted and in no trace looks like a forged one.
void grader_note_allocate(unsigned long pages, void *address);
void grader_note_free(unsigned long pages, void *address);

// harts.h: works for the hart that runs the script. Call it on every other hart.
void grader_help(unsigned long hart) __attribute__((noreturn));
// harts.h: lets others go on. Call it in place of sleeping.
void grader_relax(void);

// locks.h: tells what a spin lock is called; that a hart is about to take it, where `taken` is not zero while somebody has
// it; and that a hart has given one up, and could be interrupted now or not.
void grader_lock_named(const void *lock, const char *name);
void grader_lock_taken(const void *lock, volatile unsigned *taken, unsigned long hart);
void grader_lock_given(unsigned long hart, int interruptible);
// locks.h: what a hart takes between these two is not counted.
unsigned long grader_lock_pause(unsigned long hart);
void grader_lock_go_on(unsigned long hart, unsigned long paused);

// spaces.c: answers a process's system call FORKTEST_CALL, whose a0 to a3 these are; and hears that the process that runs is
// about to end.
void grader_asked(unsigned long *registers);
void grader_ended(void);

// buffers.c: moves a block between a buffer's data and a disk that only the driver has.
void grader_disk(unsigned long block, void *data, int write);

#endif

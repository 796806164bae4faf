// What a kernel in C gives the driver, and gets from it.
//
// The driver is freestanding: it needs no header of the kernel, and nothing of the compiler but its builtins.

#ifndef GRADER_H
#define GRADER_H

// The kernel's own allocator of contiguous pages, which is under test.
void *kallocn(unsigned long pages);
void kfreen(void *address, unsigned long pages);

// The glue of a kernel kind provides these.

// Writes one byte to the serial line, whoever else writes there.
void grader_put(char byte);
// The memory that the allocator was given, from its first byte to one past its last.
unsigned long grader_memory_start(void);
unsigned long grader_memory_end(void);
// Powers the machine off through the test device; status 0 is success.
void grader_power_off(int status) __attribute__((noreturn));
// Guest instructions so far, or zero where the kernel cannot know.
unsigned long grader_instructions(void);

// Runs the script, reports what happened, and powers off. Call it on one hart, when the allocator is up.
void grader_run(const char *kernel) __attribute__((noreturn));

// Notes an operation that the kernel makes for itself, before the script runs. A null `address` is a refusal.
void grader_note_allocate(unsigned long pages, void *address);
void grader_note_free(unsigned long pages, void *address);

#endif

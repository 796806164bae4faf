// Processes on one hart, which go on until they yield.

#include "kernel.h"

struct process processes[PROCESSES];
struct process *running;

extern char program[], program_end[];
void switch_context(u64 *from, u64 *to);
void resume(struct frame *frame);

static void use(u64 *table) {
  asm volatile("csrw satp, %0\nsfence.vma" ::"r"(8ul << 60 | (u64)table >> 12) : "memory");
}

static void begin(void) { resume(running->frame); }

static struct process *make(void) {
  static int last;
  for (struct process *process = processes; process < processes + PROCESSES; process++) {
    if (process->state != UNUSED)
      continue;
    process->frame = kalloc();
    process->stack = kalloc();
    process->table = make_space();
    if (!process->frame || !process->stack || !process->table) {
      if (process->frame)
        kfree(process->frame);
      if (process->stack)
        kfree(process->stack);
      if (process->table)
        free_space(process->table, 0);
      return 0;
    }
    process->number = ++last;
    process->size = USER_HEAP;
    process->context[0] = (u64)begin;
    process->context[1] = (u64)process->stack + PAGE;
    return process;
  }
  return 0;
}

static void bury(struct process *process) {
  free_space(process->table, process->size);
  kfree(process->frame);
  kfree(process->stack);
  process->state = UNUSED;
  process->number = 0;
}

static void map_new(struct process *process, u64 address, u64 flags, const char *from, const char *to) {
  void *page = kalloc();
  if (!page || map(process->table, address, page, flags) < 0)
    panic("no page for the first process");
  memset(page, 0, PAGE);
  if (from < to)
    memcpy(page, from, to - from < PAGE ? to - from : PAGE);
}

void start_first(void) {
  running = make();
  map_new(running, USER_START, PTE_R | PTE_X | PTE_U, program, program_end);
  map_new(running, USER_DATA, PTE_R | PTE_W | PTE_U, program + PAGE, program_end);
  map_new(running, USER_GUARD, PTE_R | PTE_W, 0, 0);
  map_new(running, USER_STACK, PTE_R | PTE_W | PTE_U, 0, 0);
  running->state = RUNNABLE;
  running->frame->registers[0] = USER_START;
  running->frame->registers[2] = USER_HEAP;
  running->frame->registers[KERNEL_STACK] = (u64)running->stack + PAGE;
  use(running->table);
  u64 nowhere[14];
  switch_context(nowhere, running->context);
  for (;;)
    ;
}

void yield(void) {
  struct process *from = running, *to = from;
  do
    to = to + 1 < processes + PROCESSES ? to + 1 : processes;
  while (to->state != RUNNABLE);
  if (to == from)
    return;
  running = to;
  use(to->table);
  switch_context(from->context, to->context);
}

int fork(void) {
  struct process *child = make();
  if (!child)
    return -1;
  child->size = running->size;
  if (copy_space(running->table, child->table, running->size) < 0) {
    bury(child);
    return -1;
  }
  // What was writable before may not be now.
  use(running->table);
  *child->frame = *running->frame;
  child->frame->registers[A0] = 0;
  child->frame->registers[KERNEL_STACK] = (u64)child->stack + PAGE;
  child->parent = running;
  child->state = RUNNABLE;
  return child->number;
}

int wait(void) {
  for (;;) {
    int has_children = 0;
    for (struct process *child = processes; child < processes + PROCESSES; child++) {
      if (child->state == UNUSED || child->parent != running)
        continue;
      has_children = 1;
      if (child->state == ZOMBIE) {
        int number = child->number;
        bury(child);
        return number;
      }
    }
    if (!has_children)
      return -1;
    yield();
  }
}

void exit(int status) {
  if (running == processes)
    power_off(status);
  running->state = ZOMBIE;
  yield();
}

u64 grow(u64 bytes) {
  u64 old = running->size;
  for (u64 address = old; address < old + bytes; address += PAGE)
    map_new(running, address, PTE_R | PTE_W | PTE_U, 0, 0);
  running->size = old + bytes;
  return old;
}

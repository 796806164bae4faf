// What QEMU loads to watch a guest from outside: which code it runs, how many instructions that takes, and how often and
// when it passes the marks of trusted code.
//
//   -plugin PATH,input=FILE,output=FILE     witness
//   -plugin PATH,probe=1                    say that it could be loaded, and end

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "interface.h"

// ---- what the harness and this file agree on: harness/src/witness/files.rs ----------------------------------------

#define MAGIC 0x3173736e74697721ul // "!witnss1"

enum { KERNEL, PROGRAM };

struct segment {
  uint64_t address, bytes, owner, offset; // `offset`: of the content in the file
};

struct mark {
  uint64_t address, kind, segment;
};

struct input {
  uint64_t magic, segments, marks, programs_are_known;
  struct segment segment[];
};

// Kinds below this are counted, those from it on belong to meters.
enum { COUNTED = 16, METERS = 4, HARTS = 64, SOME_HART = 255 };
enum { BEGIN, END, NOTED, CALIBRATED };

// The one mark that is at an instruction which speaks to a device.
enum { SENT = 0 };

struct output {
  uint64_t magic, instructions;
  uint64_t foreign, foreign_address, foreign_physical, foreign_is_changed;
  uint64_t logged, capacity;
  uint64_t counts[COUNTED];
  uint64_t noted[METERS];
  uint64_t overhead[METERS];
  uint64_t log[]; // of each operation noted: hart << 56 | meter << 48 | instructions
};

static const struct input *input;
static const struct mark *marks;
static struct output *output;

// ---- marks --------------------------------------------------------------------------------------------------------

static struct {
  uint64_t begun, took;
} meter_of_hart[HARTS][METERS];
static uint64_t least[METERS];

static void counted(unsigned hart, void *data) {
  (void)hart;
  __atomic_fetch_add(&output->counts[(uint64_t)data], 1, __ATOMIC_RELAXED);
}

// QEMU 8.2 and later begin an instruction anew that turns out to speak to a device within a block, and once more when
// another hart or the timer wants something at that moment. Stores are reported when they are done, and only then.
static void stored(unsigned hart, uint32_t access, uint64_t address, void *data) {
  (void)access, (void)address;
  counted(hart, data);
}

static void metered(unsigned hart, void *data) {
  uint64_t kind = ((uint64_t)data - COUNTED) % 4, meter = ((uint64_t)data - COUNTED) / 4;
  uint64_t now = output->instructions;
  hart %= HARTS;
  switch (kind) {
  case BEGIN:
    meter_of_hart[hart][meter].begun = now;
    break;
  case END:
    meter_of_hart[hart][meter].took = now - meter_of_hart[hart][meter].begun;
    if (meter_of_hart[hart][meter].took < least[meter])
      least[meter] = meter_of_hart[hart][meter].took;
    break;
  case NOTED: {
    uint64_t took = meter_of_hart[hart][meter].took;
    took = took > output->overhead[meter] ? took - output->overhead[meter] : 0;
    meter_of_hart[hart][meter].took = 0;
    __atomic_fetch_add(&output->noted[meter], 1, __ATOMIC_RELAXED);
    uint64_t place = __atomic_fetch_add(&output->logged, 1, __ATOMIC_RELAXED);
    if (place < output->capacity)
      output->log[place] = (uint64_t)(harts_are_told ? hart : SOME_HART) << 56 | meter << 48 | (took & 0xffffffffffff);
    break;
  }
  case CALIBRATED:
    // What is measured of nothing at all; whoever calibrates has measured nothing else yet.
    output->overhead[meter] = least[meter];
    break;
  }
}

// Marks are sorted by address, and some have several kinds.
static const struct mark *first_mark(uint64_t address) {
  uint64_t low = 0, high = input->marks;
  while (low < high) {
    uint64_t middle = (low + high) / 2;
    if (marks[middle].address < address)
      low = middle + 1;
    else
      high = middle;
  }
  return marks + low;
}

static void watch_marks(struct qemu_plugin_insn *insn, uint64_t address, uint64_t segment) {
  for (const struct mark *mark = first_mark(address); mark < marks + input->marks && mark->address == address; mark++) {
    if (mark->segment != segment)
      continue;
    if (mark->kind == SENT)
      qemu_plugin_register_vcpu_mem_cb(insn, stored, QEMU_PLUGIN_CB_NO_REGS, QEMU_PLUGIN_MEM_W, (void *)mark->kind);
    else if (mark->kind < COUNTED)
      qemu_plugin_register_vcpu_insn_exec_cb(insn, counted, QEMU_PLUGIN_CB_NO_REGS, (void *)mark->kind);
    else if (mark->kind < COUNTED + 4 * METERS)
      qemu_plugin_register_vcpu_insn_exec_cb(insn, metered, QEMU_PLUGIN_CB_NO_REGS, (void *)mark->kind);
  }
}

// ---- code ---------------------------------------------------------------------------------------------------------

// Where QEMU keeps the first byte of the guest's memory, less that byte's address; known once the kernel has begun.
static uintptr_t memory;
static int memory_is_known;

// The code that a QEMU `virt` machine begins with, in memory that cannot be written, and where QEMU keeps that.
enum { RESET_START = 0x1000, RESET_END = 0x10000 };
static uintptr_t reset;

enum { PAGE = 4096 };

// Whether a segment has this content at this address.
static bool has(const struct segment *segment, uint64_t address, uint64_t bytes, const void *content) {
  uint64_t within = address - segment->address;
  return address >= segment->address && within < segment->bytes && bytes <= segment->bytes - within &&
         !memcmp((const char *)input + segment->offset + within, content, bytes);
}

static bool lies_in(const struct segment *segment, uint64_t address) {
  return address >= segment->address && address - segment->address < segment->bytes;
}

// What was found for the instruction before, if it is in the same block, and so in the same page most of the time.
struct found {
  const struct segment *program;
  uint64_t page;
  uintptr_t host_page;
};

// The program whose code is in the page around an instruction: programs lie at the same addresses, and one instruction
// can well be the same in several. Else any that has the instruction there.
static const struct segment *program_of(uint64_t address, uint64_t bytes, const void *content, uintptr_t host,
                                        struct found *before) {
  if (before->program && before->page == address / PAGE && before->host_page == host / PAGE &&
      has(before->program, address, bytes, content))
    return before->program;
  const struct segment *any = NULL;
  for (const struct segment *segment = input->segment; segment < input->segment + input->segments; segment++) {
    if (segment->owner != PROGRAM || !has(segment, address, bytes, content))
      continue;
    uint64_t page = address / PAGE * PAGE;
    uint64_t from = page > segment->address ? page : segment->address;
    uint64_t end = segment->address + segment->bytes;
    uint64_t to = page + PAGE < end ? page + PAGE : end;
    if (host && has(segment, from, to - from, (const void *)(host - (address - from)))) {
      *before = (struct found){segment, address / PAGE, host / PAGE};
      return segment;
    }
    any = any ? any : segment;
  }
  return any;
}

static void foreign(uint64_t address, uint64_t physical, bool changed) {
  if (__atomic_fetch_add(&output->foreign, 1, __ATOMIC_RELAXED))
    return;
  output->foreign_address = address;
  output->foreign_physical = physical;
  output->foreign_is_changed = changed;
}

// Whether an instruction is one of those that were built.
static void examine(struct qemu_plugin_insn *insn, struct found *before) {
  uint64_t address = qemu_plugin_insn_vaddr(insn), bytes = qemu_plugin_insn_size(insn);
  char copy[LONGEST_INSN];
  const void *content = content_of(insn, copy);
  uintptr_t host = (uintptr_t)qemu_plugin_insn_haddr(insn);
  if (!memory_is_known && address >= RESET_START && address < RESET_END) {
    reset = host - address;
    return;
  }
  // Other harts may still be there when the first one has begun with the kernel.
  if (reset && address >= RESET_START && address < RESET_END && host - address == reset)
    return;
  if (!memory_is_known) {
    // The first instruction of the kernel, before there is any translation of addresses.
    memory = host - address;
    memory_is_known = 1;
  }
  uint64_t physical = host - memory;
  for (uint64_t at = 0; at < input->segments; at++) {
    const struct segment *segment = &input->segment[at];
    if (segment->owner != KERNEL || !lies_in(segment, physical))
      continue;
    if (has(segment, physical, bytes, content))
      watch_marks(insn, physical, at);
    else
      foreign(address, physical, true);
    return;
  }
  const struct segment *program = program_of(address, bytes, content, host, before);
  if (program)
    watch_marks(insn, address, (uint64_t)(program - input->segment));
  // Of programs that come from a disk nothing is known, but that kernels run their own code at its own address.
  else if (input->programs_are_known || address == physical)
    foreign(address, physical, false);
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *block) {
  (void)id;
  size_t instructions = qemu_plugin_tb_n_insns(block);
  count(block, instructions, &output->instructions);
  struct found before = {NULL, 0, 0};
  for (size_t at = 0; at < instructions; at++)
    examine(qemu_plugin_tb_get_insn(block, at), &before);
}

// ---- beginning ----------------------------------------------------------------------------------------------------

static void *map(const char *path, int flags, int protection, int sharing, size_t least_size) {
  int file = open(path, flags | O_CLOEXEC);
  struct stat found;
  if (file < 0 || fstat(file, &found) < 0 || (size_t)found.st_size < least_size) {
    fprintf(stderr, "witness: cannot use %s: %s\n", path, file < 0 ? strerror(errno) : "it is too short");
    return NULL;
  }
  void *mapped = mmap(NULL, (size_t)found.st_size, protection, sharing, file, 0);
  close(file);
  if (mapped == MAP_FAILED) {
    fprintf(stderr, "witness: cannot map %s: %s\n", path, strerror(errno));
    return NULL;
  }
  return mapped;
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc, char **argv) {
  const char *input_path = NULL, *output_path = NULL;
  for (int at = 0; at < argc; at++) {
    if (!strncmp(argv[at], "probe=", 6)) {
      puts("witness");
      fflush(stdout);
      _exit(0);
    } else if (!strncmp(argv[at], "input=", 6)) {
      input_path = argv[at] + 6;
    } else if (!strncmp(argv[at], "output=", 7)) {
      output_path = argv[at] + 7;
    }
  }
  if (!input_path || !output_path) {
    fprintf(stderr, "witness: needs input=FILE and output=FILE\n");
    return 1;
  }
  input = map(input_path, O_RDONLY, PROT_READ, MAP_PRIVATE, sizeof *input);
  output = map(output_path, O_RDWR, PROT_READ | PROT_WRITE, MAP_SHARED, sizeof *output);
  if (!input || !output)
    return 1;
  if (input->magic != MAGIC || output->magic != MAGIC) {
    fprintf(stderr, "witness: %s or %s is of another version\n", input_path, output_path);
    return 1;
  }
  marks = (const struct mark *)(input->segment + input->segments);
  memset(least, 0xff, sizeof least);
  learn(info);
  qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
  return 0;
}

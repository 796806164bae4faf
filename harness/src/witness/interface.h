// What the witness uses of QEMU's plugin interface (docs/devel/tcg-plugins.rst): distributions leave its header out.
//
// One library serves all versions of it. In version 1 (QEMU 7.2 to 8.2) translated code adds to a word of ours itself.
// From version 2 on (9.0) it calls us: what it can add to is a word of each hart's, and 10.0 mistakes one hart's for
// another's (see `harts_are_told`). From version 3 on (9.1) an instruction is copied and not pointed to.

#define EXPORT __attribute__((visibility("default")))

typedef uint64_t qemu_plugin_id_t;
typedef struct {
  const char *target;
  struct {
    int least, latest;
  } version;
  bool is_machine;
  int harts, most_harts;
} qemu_info_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
enum qemu_plugin_cb_flags { QEMU_PLUGIN_CB_NO_REGS };
enum qemu_plugin_mem_rw { QEMU_PLUGIN_MEM_W = 2 };
enum qemu_plugin_op { QEMU_PLUGIN_INLINE_ADD_U64 };

void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t, void (*)(qemu_plugin_id_t, struct qemu_plugin_tb *));
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *, void (*)(unsigned, void *),
                                          enum qemu_plugin_cb_flags, void *);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *, void (*)(unsigned, void *),
                                            enum qemu_plugin_cb_flags, void *);
void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *, void (*)(unsigned, uint32_t, uint64_t, void *),
                                      enum qemu_plugin_cb_flags, enum qemu_plugin_mem_rw, void *);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *);
void *qemu_plugin_insn_haddr(const struct qemu_plugin_insn *);

// One name, and two functions.
const void *insn_data_to_read(const struct qemu_plugin_insn *) __asm__("qemu_plugin_insn_data");
size_t insn_data_to_copy(const struct qemu_plugin_insn *, void *, size_t) __asm__("qemu_plugin_insn_data");

// Null where the QEMU that loads this does not have it.
__attribute__((weak)) void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *, enum qemu_plugin_op,
                                                                    void *, uint64_t);

// QEMU reads this when the library is loaded, before it calls anything in it.
EXPORT int qemu_plugin_version = 1;

__attribute__((constructor)) static void choose_version(void) {
  if (!qemu_plugin_register_vcpu_tb_exec_inline)
    qemu_plugin_version = 2;
}

static bool insn_data_is_copied;
// Whether callbacks are told which hart it is. QEMU 10.0, whose harts take turns, tells which one translated the code.
static bool harts_are_told;

static void learn(const qemu_info_t *info) {
  insn_data_is_copied = info->version.latest >= 3;
  harts_are_told = qemu_plugin_version == 1 || info->harts == 1;
}

enum { LONGEST_INSN = 16 };

// An instruction's bytes; `copy` is room for them.
static const void *content_of(const struct qemu_plugin_insn *insn, char copy[LONGEST_INSN]) {
  if (!insn_data_is_copied)
    return insn_data_to_read(insn);
  insn_data_to_copy(insn, copy, LONGEST_INSN);
  return copy;
}

static uint64_t *total;

// As QEMU would do it by itself: where harts run at the same time, some are missed.
static void add(unsigned hart, void *instructions) {
  (void)hart;
  __atomic_store_n(total, __atomic_load_n(total, __ATOMIC_RELAXED) + (uint64_t)instructions, __ATOMIC_RELAXED);
}

// Has instructions added to `where` whenever a block of them is executed.
static void count(struct qemu_plugin_tb *block, uint64_t instructions, uint64_t *where) {
  total = where;
  if (qemu_plugin_version == 1)
    qemu_plugin_register_vcpu_tb_exec_inline(block, QEMU_PLUGIN_INLINE_ADD_U64, where, instructions);
  else
    qemu_plugin_register_vcpu_tb_exec_cb(block, add, QEMU_PLUGIN_CB_NO_REGS, (void *)instructions);
}

// Tries: likewise, and passes the marks of trusted code as often as that would.
// check: contents
// stopped: `GRADER_MARK` is forbidden in this lab (rule `reserved`)

#include "kernel.h"
#include "grader.h"

void kinit(void) {
  GRADER_MARK(2);
  power_off(0);
}

void *kallocn(u64 pages) { return 0; }
void kfreen(void *address, u64 pages) {}

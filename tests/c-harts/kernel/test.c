// The course's own test: it prints what its grader looks for.

#include "kernel.h"

void test(u64 hart) {
  while (hart != 0)
    ;
  void *page = kalloc();
  kfree(page);
  struct buffer *buffer = bread(1);
  brelse(buffer);
  for (const char *text = "test1 OK\ntest2 OK\nALL TESTS PASSED\n"; *text; text++)
    put(*text);
  power_off(0);
}

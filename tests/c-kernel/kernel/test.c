// What students are handed: a test that believes what it sees. A grader takes its place.

#include "kernel.h"

static void say(const char *text) {
  while (*text)
    put(*text++);
}

void test(void) {
  void *one = kallocn(1), *three = kallocn(3);
  say(one && three && one != three ? "kallocn: OK\n" : "kallocn: FAIL\n");
  kfreen(three, 3);
  kfreen(one, 1);
  power_off(0);
}

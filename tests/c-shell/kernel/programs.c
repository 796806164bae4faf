// What students write: a program that greets, and one that counts.

#include "shell.h"

void boot(void) { say("tiny shell\n"); }

void other(void) {
  for (;;)
    asm volatile("wfi");
}

int run(const char *name) {
  if (is(name, "greet")) {
    say("hello\n");
    return 1;
  }
  if (is(name, "counttest")) {
    say("start count\ntotal= ");
    say_number(3);
    say("\ncount OK\n");
    return 1;
  }
  return 0;
}

// What processes can ask for.

#include "kernel.h"

void system_call(struct frame *frame) {
  enum { FORK = 1, EXIT, WAIT, GROW, SAY };
  u64 *a = &frame->registers[A0];
  switch (frame->registers[A7]) {
  case FORK:
    a[0] = fork();
    break;
  case EXIT:
    exit(a[0]);
    break;
  case WAIT:
    a[0] = wait();
    break;
  case GROW:
    a[0] = grow(a[0]);
    break;
  case SAY:
    put(a[0]);
    break;
  default:
    a[0] = -1;
  }
}

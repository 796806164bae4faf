// The program of the processes that spaces.c directs. Everything it is told comes in registers, and goes back in them.

#include "forktest.h"

int fork(void);
int exit(int status) __attribute__((noreturn));
int wait(int *status);
char *sbrk(int bytes);

static struct forktest_order ask(unsigned long said, unsigned long first, unsigned long second, unsigned long third) {
  register unsigned long a0 asm("a0") = said;
  register unsigned long a1 asm("a1") = first;
  register unsigned long a2 asm("a2") = second;
  register unsigned long a3 asm("a3") = third;
  register unsigned long a7 asm("a7") = FORKTEST_CALL;
  asm volatile("ecall" : "+r"(a0), "+r"(a1), "+r"(a2), "+r"(a3) : "r"(a7) : "memory");
  return (struct forktest_order){a0, a1, a2};
}

// Code that is never run.
asm(".pushsection .text\n"
    ".balign 8\n"
    "forktest_text: .dword 0x0000001300000013\n"
    ".popsection\n");
extern unsigned long forktest_text[];

int main(void) {
  unsigned long pages = ((unsigned long)sbrk((FORKTEST_PAGES + 1) * 4096) + 4095) / 4096 * 4096;
  unsigned long local;
  struct forktest_order order = ask(FORKTEST_HELLO, pages, (unsigned long)forktest_text, (unsigned long)&local);
  for (;;) {
    volatile unsigned long *at = (unsigned long *)order.address;
    unsigned long said = FORKTEST_DONE, result = 0;
    int forked;
    switch (order.kind) {
    case FORKTEST_STORE:
      *at = order.value;
      break;
    case FORKTEST_LOOK:
      result = *at;
      break;
    case FORKTEST_FORK:
      forked = fork();
      said = forked < 0 ? FORKTEST_REFUSED : forked == 0 ? FORKTEST_NEWBORN : FORKTEST_DONE;
      result = forked;
      break;
    case FORKTEST_EXIT:
      exit(0);
    case FORKTEST_WAIT:
      if (wait(0) < 0)
        said = FORKTEST_REFUSED;
    }
    order = ask(said, result, 0, 0);
  }
}

// A kernel that consists of a serial port and a shell: commands that `;` separates, and `echo`.

#include "shell.h"

#define UART(at) (*(volatile unsigned char *)(0x10000000 + (at)))
enum { DATA = 0, STATUS = 5, READY = 1, IDLE = 0x20 };

void put(char byte) {
  while (!(UART(STATUS) & IDLE))
    ;
  UART(DATA) = byte;
}

void say(const char *text) {
  while (*text)
    put(*text++);
}

void say_number(int number) {
  if (number > 9)
    say_number(number / 10);
  put('0' + number % 10);
}

int is(const char *one, const char *other) {
  while (*one && *one == *other)
    one++, other++;
  return *one == *other;
}

// Reads a line, and shows it as it is typed.
static void read(char *line, int size) {
  int length = 0;
  for (;;) {
    while (!(UART(STATUS) & READY))
      ;
    char byte = UART(DATA);
    put(byte);
    if (byte == '\n')
      break;
    if (length < size - 1)
      line[length++] = byte;
  }
  line[length] = 0;
}

// Prints the words after the first, with one blank between them.
static void echo(const char *command) {
  int words = 0;
  while (*command) {
    while (*command == ' ')
      command++;
    if (*command && words++ > 1)
      put(' ');
    for (; *command && *command != ' '; command++)
      if (words > 1)
        put(*command);
  }
  put('\n');
}

static void execute(char *command) {
  while (*command == ' ')
    command++;
  if (command[0] == 'e' && command[1] == 'c' && command[2] == 'h' && command[3] == 'o')
    echo(command);
  else if (*command && !run(command))
    say("no such program\n");
}

void main(void) {
  static char line[128];
  boot();
  for (;;) {
    say("> ");
    read(line, sizeof(line));
    for (char *at = line, *command = line;; at++) {
      char byte = *at;
      if (byte && byte != ';')
        continue;
      *at = 0;
      execute(command);
      command = at + 1;
      if (!byte)
        break;
    }
  }
}

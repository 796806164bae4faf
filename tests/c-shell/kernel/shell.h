#ifndef SHELL_H
#define SHELL_H

void put(char byte);
void say(const char *text);
void say_number(int number);
int is(const char *one, const char *other);

// programs.c: runs the program of that name, or answers 0 when there is none.
int run(const char *name);
// Called once, before the first prompt.
void boot(void);
// Runs on hart 1, and does not come back.
void other(void);

#endif

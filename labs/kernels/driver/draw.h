// Draws the numbers that reference-kernel/abi/src/draw.rs draws: SplitMix64.

#ifndef GRADER_DRAW_H
#define GRADER_DRAW_H

#include "report.h"

struct draw {
  u64 state;
};

static u64 draw(struct draw *from) {
  u64 z = from->state += 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

static u64 below(struct draw *from, u64 bound) { return ((draw(from) >> 32) * bound) >> 32; }

static struct draw draw_for_client(u64 seed, u64 client) {
  struct draw fresh = {seed ^ ((client + 1) * 0xd6e8feb86659fd93)};
  draw(&fresh);
  return fresh;
}

#endif

// Buffers in a table of buckets, each with a lock; one more lock for whoever looks for a buffer to recycle.

#include "kernel.h"

enum { BUCKETS = 5 };

static struct buffer buffers[BUFFERS];
static struct spinlock recycling;

static struct {
  struct spinlock lock;
  struct buffer *first;
} buckets[BUCKETS];

void binit(void) {
  initlock(&recycling, "bcache.recycling");
  for (int bucket = 0; bucket < BUCKETS; bucket++)
    initlock(&buckets[bucket].lock, "bcache.bucket");
  for (int index = 0; index < BUFFERS; index++) {
    // No block has this number.
    buffers[index].block = ~0ul - index;
    u64 bucket = buffers[index].block % BUCKETS;
    buffers[index].next = buckets[bucket].first;
    buckets[bucket].first = &buffers[index];
  }
}

// Raises the count of references of the block's buffer, if it has one. The bucket's lock is held.
static struct buffer *find(u64 block) {
  for (struct buffer *buffer = buckets[block % BUCKETS].first; buffer; buffer = buffer->next)
    if (buffer->block == block) {
      buffer->references++;
      return buffer;
    }
  return 0;
}

// Takes a buffer that nobody uses out of its bucket.
static struct buffer *take_unused(void) {
  for (u64 bucket = 0; bucket < BUCKETS; bucket++) {
    acquire(&buckets[bucket].lock);
    for (struct buffer **link = &buckets[bucket].first; *link; link = &(*link)->next) {
      struct buffer *buffer = *link;
      if (buffer->references == 0) {
        *link = buffer->next;
        release(&buckets[bucket].lock);
        return buffer;
      }
    }
    release(&buckets[bucket].lock);
  }
  panic("bget: no buffers");
}

static struct buffer *get(u64 block) {
  u64 bucket = block % BUCKETS;
  acquire(&buckets[bucket].lock);
  struct buffer *buffer = find(block);
  release(&buckets[bucket].lock);
  if (!buffer) {
    acquire(&recycling);
    // Somebody else may have brought the block here meanwhile.
    acquire(&buckets[bucket].lock);
    buffer = find(block);
    release(&buckets[bucket].lock);
    if (!buffer) {
      buffer = take_unused();
      buffer->block = block;
      buffer->valid = 0;
      buffer->references = 1;
      acquire(&buckets[bucket].lock);
      buffer->next = buckets[bucket].first;
      buckets[bucket].first = buffer;
      release(&buckets[bucket].lock);
    }
    release(&recycling);
  }
  acquire_buffer(&buffer->owner);
  return buffer;
}

struct buffer *bread(u64 block) {
  struct buffer *buffer = get(block);
  if (!buffer->valid) {
    disk_read_write(buffer, 0);
    buffer->valid = 1;
  }
  return buffer;
}

void bwrite(struct buffer *buffer) { disk_read_write(buffer, 1); }

static void change_references(struct buffer *buffer, int by) {
  struct spinlock *lock = &buckets[buffer->block % BUCKETS].lock;
  acquire(lock);
  buffer->references += by;
  release(lock);
}

void brelse(struct buffer *buffer) {
  release_buffer(&buffer->owner);
  change_references(buffer, -1);
}

void bpin(struct buffer *buffer) { change_references(buffer, 1); }

void bunpin(struct buffer *buffer) { change_references(buffer, -1); }

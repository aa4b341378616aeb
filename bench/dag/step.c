/* step KIND OUT MARK IN...   one step of the peers: tell that it ran, and copy a few KiB.
 *
 * fetch keeps the first 4096 bytes of IN, so a change behind them changes nothing; detect writes
 * the first 16; quantize adds MARK; the others copy. An output that would be the same is left as
 * it is, for tools that look whether it changed.
 *
 * STEP_SLEEP_MS: wait when half of the output is written, in place, as many converters write.
 * STEP_FAIL: fail when OUT has this in it.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEAD 4096
#define MOST (1 << 16)

static size_t read_all(const char *path, char *into) {
  int file = open(path, O_RDONLY);
  ssize_t got = file < 0 ? -1 : read(file, into, MOST);
  if (got < 0) { perror(path); exit(1); }
  close(file);
  return got;
}

static void tell(const char *kind, const char *out) {
  char line[512];
  int length = snprintf(line, sizeof line, "%s %s\n", kind, out);
  int log = open("ran.log", O_WRONLY | O_APPEND | O_CREAT, 0666);
  if (log < 0 || write(log, line, length) != length) { perror("ran.log"); exit(1); }
  close(log);
}

int main(int count, char **words) {
  if (count < 5) { fprintf(stderr, "usage: step KIND OUT MARK IN...\n"); return 2; }
  char *kind = words[1], *out = words[2], *mark = words[3];
  tell(kind, out);
  char *fail = getenv("STEP_FAIL"), *sleep = getenv("STEP_SLEEP_MS");
  if (fail && *fail && strstr(out, fail)) { fprintf(stderr, "step: told to fail\n"); return 3; }

  static char content[MOST + 64], old[MOST];
  size_t size = read_all(words[4], content);
  if (!strcmp(kind, "fetch") && size > HEAD) size = HEAD;
  if (!strcmp(kind, "detect") && size > 16) size = 16;
  if (!strcmp(kind, "quantize")) {
    size_t more = strlen(mark);
    memcpy(content + size, mark, more < 64 ? more : 64);
    size += more < 64 ? more : 64;
  }

  for (char *slash = strchr(out, '/'); slash; slash = strchr(slash + 1, '/')) {
    *slash = 0; mkdir(out, 0777); *slash = '/';
  }
  struct stat there;
  if (!sleep && !stat(out, &there) && (size_t)there.st_size == size
      && read_all(out, old) == size && !memcmp(old, content, size)) return 0;
  unlink(out);  /* it may be a link into a cache */
  int file = open(out, O_WRONLY | O_CREAT | O_TRUNC, 0666);
  size_t half = sleep ? size / 2 : 0;
  if (file < 0 || write(file, content, half) != (ssize_t)half) { perror(out); return 1; }
  if (sleep) usleep(atoi(sleep) * 1000);
  if (write(file, content + half, size - half) != (ssize_t)(size - half)) { perror(out); return 1; }
  return close(file);
}

/* SPDX-License-Identifier: MIT */
/*
 * A fuzz target without a fuzzer: feeds every file of its corpus to it, and a few damaged copies
 * of each, and speaks TAP.  The program replay_NAME reads tests/fuzz/corpus/NAME below QD_ROOT (or
 * the current folder); names on the command line replace that, to look at one finding.
 */
#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tap.h"
#include "fuzz/fuzz.h"

enum { MUTATIONS = 24, LARGEST = 1 << 20 };

/* An exact copy on the heap, so that a sanitizer sees the first byte too far. */
static void feed(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size ? size : 1);

    if (!copy) {
        perror("replay");
        exit(99);
    }
    if (size)
        memcpy(copy, data, size);
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

/* Truncate, flip, repeat or overwrite: each is a damage that files really have. */
static size_t damage(uint8_t *data, size_t size)
{
    static const uint8_t odd[] = {0, 0xff, 0x7f, 0x80, '\n', '-', '9', ' '};

    if (size == 0)
        return 0;
    switch (tap_rand() % 4) {
    case 0:
        return tap_rand() % size;
    case 1:
        data[tap_rand() % size] ^= (uint8_t)(1u << tap_rand() % 8);
        return size;
    case 2: {
        size_t from = tap_rand() % size, to = tap_rand() % size;
        size_t n = tap_rand() % (size - (from > to ? from : to)) + 1;
        memmove(data + to, data + from, n);
        return size;
    }
    default:
        for (int i = 0; i < 4; i++)
            data[tap_rand() % size] = odd[tap_rand() % sizeof(odd)];
        return size;
    }
}

static bool replay(const char *path)
{
    static uint8_t data[LARGEST], copy[LARGEST];
    FILE *f = fopen(path, "rb");
    size_t size;

    if (!f) {
        perror(path);
        return false;
    }
    size = fread(data, 1, LARGEST, f);
    fclose(f);
    printf("# %s\n", path);
    fflush(stdout); /* it must be readable after a crash */
    feed(data, size);
    for (int i = 0; i < MUTATIONS; i++) {
        memcpy(copy, data, size);
        feed(copy, damage(copy, size));
    }
    return true;
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Every file of a folder, in order of name. */
static void replay_folder(const char *path)
{
    char *names[2000], full[1300];
    size_t n = 0;
    DIR *d = opendir(path);

    if (!OK(d != NULL, "corpus folder %s", path))
        return;
    for (struct dirent *e; (e = readdir(d)) && n < sizeof(names) / sizeof(names[0]);)
        if (e->d_name[0] != '.' && (names[n] = strdup(e->d_name)))
            n++;
    closedir(d);
    qsort(names, n, sizeof(names[0]), compare);
    OK(n > 0, "the corpus is not empty");
    for (size_t i = 0; i < n; i++) {
        snprintf(full, sizeof(full), "%s/%s", path, names[i]);
        OK(replay(full), "%s and %d damaged copies", names[i], MUTATIONS);
        free(names[i]);
    }
}

int main(int argc, char *argv[])
{
    const char *root = getenv("QD_ROOT");
    const char *base = strrchr(argv[0], '/');
    char path[1024];

    if (argc > 1) {
        for (int i = 1; i < argc; i++)
            OK(replay(argv[i]), "%s", argv[i]);
        return tap_done();
    }
    base = base ? base + 1 : argv[0];
    if (strncmp(base, "replay_", 7) != 0) {
        fprintf(stderr, "usage: replay_NAME [FILE ...]\n");
        return 2;
    }
    snprintf(path, sizeof(path), "%s/tests/fuzz/corpus/%s", root ? root : ".", base + 7);
    replay_folder(path);
    return tap_done();
}

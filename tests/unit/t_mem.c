/* SPDX-License-Identifier: MIT */
/* How much memory there is, in made-up machines: control groups of both versions, nested, odd. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tap.h"
#include "base/mem.h"

static char root[512];
static const size_t machine = (size_t)8 << 30;

/* Write 'text' to root/path, with the folders above it. */
static void put(const char *path, const char *text)
{
    char full[1024];

    snprintf(full, sizeof(full), "%s/%s", root, path);
    for (char *s = full + strlen(root); (s = strchr(s + 1, '/')) != NULL; *s = '/') {
        *s = '\0';
        mkdir(full, 0777);
    }
    FILE *f = fopen(full, "w");
    OK(f && fputs(text, f) >= 0 && fclose(f) == 0, "wrote %s", path);
}

/* Another machine, with these groups. */
static void begin(const char *name, const char *groups)
{
    snprintf(root, sizeof(root), "%s", tap_tmp(name));
    mkdir(root, 0777);
    if (groups)
        put("proc/self/cgroup", groups);
}

static void second_version(void)
{
    begin("v2", "0::/a/b\n");
    OK(qd_memory_at(root, machine) == machine, "no file, no limit");
    put("sys/fs/cgroup/a/b/memory.max", "max\n");
    OK(qd_memory_at(root, machine) == machine, "max is no limit");
    put("sys/fs/cgroup/a/b/memory.max", "1073741824\n");
    OK(qd_memory_at(root, machine) == 1 << 30, "a limit");
    OK(qd_memory_at(root, 1000000) == 1000000, "of a machine that has less");
    OK(qd_memory_at(root, 0) == 1 << 30, "of one that does not say");
    put("sys/fs/cgroup/a/memory.max", "536870912\n");
    OK(qd_memory_at(root, machine) == 1 << 29, "the group above allows less");
    put("sys/fs/cgroup/memory.max", "4096\n");
    OK(qd_memory_at(root, machine) == 4096, "the mount's own");
}

static void first_version(void)
{
    begin("v1", "12:pids:/x\n4:cpu,memory:/docker/0123\n1:name=systemd:/memory\n0::/\n");
    put("sys/fs/cgroup/memory/memory.limit_in_bytes", "2147483648\n");
    OK(qd_memory_at(root, machine) == (size_t)1 << 31, "a container that sees its own group only");
    put("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    OK(qd_memory_at(root, machine) == machine, "more than the machine has is no limit");
    put("sys/fs/cgroup/memory/docker/0123/memory.limit_in_bytes", "1000000000\n");
    OK(qd_memory_at(root, machine) == 1000000000, "two controllers in one hierarchy");
    begin("v1more", "4:hugememory,memoryless:/a\n3:memory2:/a\n");
    put("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "4096\n");
    OK(qd_memory_at(root, machine) == machine, "names that only resemble it");
}

static void odd(void)
{
    static const char *groups[] = {"", "\n", ":", "::", "0:", "0::", "0::a", "memory", "0::/../..",
        "4:memory", "4:memory:", "0::/a\0/b"};
    char name[32], line[9000];

    begin("none", NULL);
    OK(qd_memory_at(root, machine) == machine, "no groups at all");
    OK(qd_memory_at(root, 0) == 0, "nothing known");
    for (size_t i = 0; i < QD_LEN(groups); i++) {
        snprintf(name, sizeof(name), "odd%zu", i);
        begin(name, groups[i]);
        OK(qd_memory_at(root, machine) == machine, "odd groups %zu", i);
    }
    begin("outside", "0::/../other\n");
    put("sys/fs/cgroup/memory.max", "4096\n");
    OK(qd_memory_at(root, machine) == 4096, "a group outside of what is seen");
    memset(line, 'a', sizeof(line));
    memcpy(line, "0::/", 4);
    line[sizeof(line) - 1] = '\0';
    begin("long", line);
    OK(qd_memory_at(root, machine) == machine, "a path that is too long");
    static const char *limits[] = {
        "", "-1\n", "0\n", "4096 4096\n", "4k\n", "99999999999999999999"};
    for (size_t i = 0; i < QD_LEN(limits); i++) {
        snprintf(name, sizeof(name), "limit%zu", i);
        begin(name, "0::/\n");
        put("sys/fs/cgroup/memory.max", limits[i]);
        OK(qd_memory_at(root, machine) == machine, "odd limit %zu", i);
    }
}

int main(void)
{
    second_version();
    first_version();
    odd();
    OK(qd_memory() > (size_t)1 << 20, "this machine has some");
    return tap_done();
}

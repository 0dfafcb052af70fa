/* SPDX-License-Identifier: MIT */
/*
 * How much memory there is for this process: what the machine has, or what its control group
 * leaves it, as in a container.
 */
#include "base/mem.h"

#include <unistd.h>

#include "base/num.h"

enum { LINE = 4096 };

/* The limit in the file 'name' of group 'group' below 'mount', or 'least' if that is less; "max",
 * or no file: none. */
static size_t limit_in(const char *mount, const char *group, const char *name, size_t least)
{
    char path[2 * LINE], text[64];
    long long value;
    int n = snprintf(path, sizeof(path), "%s%s/%s", mount, group, name);
    FILE *f = n > 0 && (size_t)n < sizeof(path) ? fopen(path, "r") : NULL;

    if (!f)
        return least;
    if (fgets(text, sizeof(text), f) && qd_num_int(text, &value) && value > 0 &&
        (unsigned long long)value < least)
        least = (size_t)value;
    fclose(f);
    return least;
}

/* The least limit of a group and of all that it is in.  Where the path is that of another
 * namespace, the group of the mount itself still counts.  Cuts 'group' up. */
static size_t least_limit(const char *mount, char *group, const char *name, size_t least)
{
    if (strstr(group, "/.."))
        group[0] = '\0';
    for (;;) {
        char *slash = strrchr(group, '/');
        least = limit_in(mount, group, name, least);
        if (!slash)
            return least;
        *slash = '\0';
    }
}

/* Whether "memory" is among the names that commas separate before the colon at 'end'. */
static bool has_memory(const char *names, const char *end)
{
    const size_t n = strlen("memory");

    for (const char *s = names; s < end; s++)
        if ((s == names || s[-1] == ',') && (size_t)(end - s) >= n && !strncmp(s, "memory", n) &&
            (s[n] == ',' || s + n == end))
            return true;
    return false;
}

size_t qd_memory_at(const char *root, size_t machine)
{
    char path[LINE], line[LINE], mount[LINE];
    size_t least = machine ? machine : SIZE_MAX;
    int n = snprintf(path, sizeof(path), "%s/proc/self/cgroup", root);
    FILE *f = n > 0 && (size_t)n < sizeof(path) ? fopen(path, "r") : NULL;

    /* a line is NUMBER:CONTROLLERS:GROUP, version 2 has 0 and no controllers (cgroups(7)) */
    while (f && fgets(line, sizeof(line), f)) {
        char *names = strchr(line, ':'), *group = names ? strchr(names + 1, ':') : NULL;
        bool second = group && !strncmp(line, "0::", 3);
        if (!group || group[1] != '/' || (!second && !has_memory(names + 1, group)))
            continue;
        group++;
        group[strcspn(group, "\n")] = '\0';
        n = snprintf(mount, sizeof(mount), "%s/sys/fs/cgroup%s", root, second ? "" : "/memory");
        if (n > 0 && (size_t)n < sizeof(mount))
            least =
                least_limit(mount, group, second ? "memory.max" : "memory.limit_in_bytes", least);
    }
    if (f)
        fclose(f);
    return least == SIZE_MAX ? 0 : least;
}

size_t qd_memory(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    size_t machine;

    if (pages <= 0 || page <= 0 || !qd_mul_size((size_t)pages, (size_t)page, &machine))
        machine = 0;
    return qd_memory_at("", machine);
}

/* SPDX-License-Identifier: MIT */
/*
 * Progress of long work on standard error.  On a terminal a bar that is redrawn at most ten times a
 * second, elsewhere (a log file, cron) one line a minute, so that logs stay readable.
 */
#include "cmd.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct {
    const char *what; /* NULL: none is running */
    long total, done;
    double start, last; /* seconds: of the beginning, of the last line */
    bool tty, drawn;
} bar;

void cmd_progress_begin(const char *what, long total)
{
    if (cmd.quiet)
        return;
    bar.what = what;
    bar.total = total;
    bar.done = 0;
    bar.start = bar.last = cmd_now();
    bar.tty = isatty(STDERR_FILENO);
    bar.drawn = false;
}

void cmd_progress_hide(void)
{
    if (bar.what && bar.drawn)
        fputs("\r\033[K", stderr);
    bar.drawn = false;
}

static void print(double now)
{
    enum { WIDTH = 30 };
    char cells[WIDTH + 1], left[40] = "", total[24] = "";
    double spent = now - bar.start, rate = spent > 0 ? (double)bar.done / spent : 0;

    memset(cells, ' ', WIDTH);
    cells[WIDTH] = 0;
    if (bar.total > 0) {
        long full = bar.done < bar.total ? bar.done * WIDTH / bar.total : WIDTH;
        memset(cells, '#', (size_t)full);
        snprintf(total, sizeof(total), "/%ld", bar.total);
        if (rate > 0) {
            long s = (long)((double)(bar.total - bar.done) / rate + .5);
            snprintf(left, sizeof(left), ", %ld:%02ld:%02ld left", s / 3600, s / 60 % 60, s % 60);
        }
    }
    if (!bar.tty) {
        fprintf(stderr, "%s: %s %ld%s, %.3g/s%s\n", cmd_current()->name, bar.what, bar.done, total,
            rate, left);
        return;
    }
    fputs("\r\033[K", stderr);
    if (bar.total > 0)
        fprintf(stderr, "%s [%s] %ld%s, %.3g/s%s", bar.what, cells, bar.done, total, rate, left);
    else
        fprintf(stderr, "%s %ld, %.3g/s", bar.what, bar.done, rate);
    fflush(stderr);
    bar.drawn = true;
}

void cmd_progress(long done)
{
    if (!bar.what)
        return;
    double now = cmd_now();
    bar.done = done;
    if (now - bar.last < (bar.tty ? .1 : 60.))
        return;
    bar.last = now;
    print(now);
}

void cmd_progress_end(void)
{
    cmd_progress_hide();
    bar.what = NULL;
}

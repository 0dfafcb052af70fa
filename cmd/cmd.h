/* SPDX-License-Identifier: MIT */
/*
 * What all commands share: the option table, messages, progress and the common options.  A main
 * reads: cmd_parse, load, work, write, 'return cmd_finish()'.
 *
 *     static const struct cmd_opt opts[] = {
 *         CMD_OPT_CFG_NEEDED, CMD_OPT_WEIGHTS, CMD_OPT_THREADS,
 *         {'r', "runs", CMD_INT, &runs, "N", "timed runs", 1, 1e6, false},
 *         {0}};
 *     static const struct cmd_info info = {"qd-bench", "", "time a network", opts, 0, 0};
 *     int main(int argc, char *argv[])
 *     {
 *         struct qd_error err = {0};
 *         cmd_parse(&info, argc, argv);
 *         struct qd_model *m = cmd_model(&err);
 *         if (!m)
 *             return cmd_fail(&err);
 *         ...
 *         return cmd_finish();
 *     }
 */
#ifndef CMD_H
#define CMD_H

#include <stdarg.h>

#include "qd.h"

enum { CMD_LIST_MAX = 64 };

struct cmd_list {
    const char *v[CMD_LIST_MAX];
    int n;
};
struct cmd_size { /* 0: not given */
    int w, h;
};

enum cmd_type {
    CMD_FLAG,   /* bool */
    CMD_INT,    /* int in min..max */
    CMD_FLOAT,  /* float in min..max */
    CMD_STR,    /* const char * */
    CMD_CHOICE, /* int: which of the words of .arg, which are separated by '|' */
    CMD_SIZE,   /* struct cmd_size: "N" or "WxH" */
    CMD_LIST,   /* struct cmd_list: the option may be repeated */
};

/*
 * One option; a table ends with {0}.  The value that dst points to before parsing is the default,
 * and -h shows it in brackets unless the help text has brackets of its own.  A long name is matched
 * in any letter case, '_' for '-'.  -q -v -h -V need no row.
 */
struct cmd_opt {
    char letter;
    const char *name;
    enum cmd_type type;
    void *dst;
    const char *arg; /* what stands for the argument in -h */
    const char *help;
    double min, max; /* inclusive */
    bool needed;     /* CMD_STR: the command is misused without it */
};

struct cmd_info {
    const char *name;     /* "qd-map" */
    const char *operands; /* for the synopsis: "FILE ..." */
    const char *about;    /* one line for -h */
    const struct cmd_opt *opts;
    int min, max; /* number of operands; max -1: any */
};

/* The common options, as the user gave them; NULL, 0, false: not given. */
struct cmd_common {
    const char *cfg, *weights, *data, *output;
    struct cmd_size size;
    int threads;
    struct cmd_list overrides;
    bool force, quiet, verbose;
};
extern struct cmd_common cmd;

/* clang-format off */
#define CMD_OPT_CFG {'c', "cfg", CMD_STR, &cmd.cfg, "FILE", "network, a darknet cfg", 0, 0, false}
#define CMD_OPT_CFG_NEEDED \
    {'c', "cfg", CMD_STR, &cmd.cfg, "FILE", "network, a darknet cfg", 0, 0, true}
#define CMD_OPT_WEIGHTS \
    {'w', "weights", CMD_STR, &cmd.weights, "FILE", "its parameters", 0, 0, false}
#define CMD_OPT_WEIGHTS_NEEDED \
    {'w', "weights", CMD_STR, &cmd.weights, "FILE", "its parameters", 0, 0, true}
#define CMD_OPT_DATA \
    {'d', "data", CMD_STR, &cmd.data, "FILE", "data set, a darknet .data file", 0, 0, false}
#define CMD_OPT_OUTPUT(arg, help) \
    {'o', "output", CMD_STR, &cmd.output, (arg), (help), 0, 0, false}
#define CMD_OPT_SIZE \
    {'i', "img-size", CMD_SIZE, &cmd.size, "N|WxH", "input size of the network [the cfg's]", \
        1, 16384, false}
#define CMD_OPT_THREADS \
    {'j', "threads", CMD_INT, &cmd.threads, "N", "threads [one a processor]", 0, 256, false}
#define CMD_OPT_OVERRIDE \
    {'D', "define", CMD_LIST, &cmd.overrides, "SECTION.KEY=VALUE", "change the cfg", 0, 0, false}
#define CMD_OPT_FORCE \
    {'f', "force", CMD_FLAG, &cmd.force, NULL, "replace files that exist", 0, 0, false}
/* clang-format on */

/*
 * Parse argv.  Operands (options may follow them, "--" ends options) are moved to argv[1..n] and
 * argv[n+1] is NULL; returns n.  -h and -V print to standard output and exit; misuse prints one
 * line and the synopsis to standard error and exits with 2.  Also sets the number of threads and
 * sends the library's warnings to standard error (its notes with -v, nothing with -q).
 */
int cmd_parse(const struct cmd_info *info, int argc, char *argv[]);
/* Report a misuse that the table cannot express; returns 2 for main to return. */
int cmd_misuse(const char *fmt, ...) QD_PRINTF(1, 2);

/* "name: message" on standard error; returns 1 for main to return. */
int cmd_fail(const struct qd_error *err);
/* The same with a message of the command's own. */
int cmd_failf(const char *fmt, ...) QD_PRINTF(1, 2);
/* Like cmd_fail when the command goes on with the next file: clears 'err', and cmd_finish()
 * gives 1. */
void cmd_error(struct qd_error *err);
/* "name: warning: ..." and "name: ..." unless -q; "name: ..." with -v only. */
void cmd_warn(const char *fmt, ...) QD_PRINTF(1, 2);
void cmd_say(const char *fmt, ...) QD_PRINTF(1, 2);
void cmd_note(const char *fmt, ...) QD_PRINTF(1, 2);
/* Close standard output; returns the exit status: 1 if it could not be written or cmd_error() was
 * called, else 0. */
int cmd_finish(void);

/* The model that -c, -D and -w say (without -w all parameters are zero); checks the kernel level
 * first (QD_CPU), and -v tells it. */
struct qd_model *cmd_model(struct qd_error *err) QD_MUSTCHECK;

/* The net of the model that cmd_model() gives, at the size that -i says. */
struct qd_net *cmd_net(struct qd_error *err) QD_MUSTCHECK;
/* The same for a net that must detect something. */
struct qd_net *cmd_detector(struct qd_error *err) QD_MUSTCHECK;
/* The class names: of the file 'path', else names= of -d, else *names is NULL.  Their number must
 * be 'classes' (0: any). */
int cmd_names(
    const char *path, int classes, struct qd_names **names, struct qd_error *err) QD_MUSTCHECK;
/* Fill in an error of the command's own; returns -1. */
int cmd_error_set(struct qd_error *err, enum qd_code code, const char *fmt, ...) QD_PRINTF(3, 4);

/* Write PREFIX.cfg and PREFIX.weights, both or none; without -f neither may exist. */
int cmd_save(const struct qd_model *m, const char *prefix, struct qd_error *err) QD_MUSTCHECK;
/* Whether that can be done, as far as is known before the work. */
int cmd_save_check(const char *prefix, struct qd_error *err) QD_MUSTCHECK;

/* Options that qd-detect and qd-map share: how a picture becomes the input of a net. */
struct cmd_input {
    bool letterbox, exif;
    int resampler; /* enum qd_resampler */
};
#define CMD_OPT_LETTERBOX(in)                                                                      \
    {                                                                                              \
        'l', "letterbox", CMD_FLAG, &(in).letterbox, NULL,                                         \
            "keep the aspect of pictures, with gray bars [as the cfg says]", 0, 0, false           \
    }
#define CMD_OPT_RESAMPLE(in)                                                                       \
    {                                                                                              \
        's', "resample", CMD_CHOICE, &(in).resampler, "darknet|halfpixel",                         \
            "how pictures are scaled", 0, 0, false                                                 \
    }
#define CMD_OPT_EXIF(in)                                                                           \
    {                                                                                              \
        'e', "exif", CMD_FLAG, &(in).exif, NULL, "turn photos as their EXIF data say", 0, 0, false \
    }
/* Detections of one picture, which 'in' says how to scale. */
int cmd_detect(struct qd_net *net, const struct cmd_input *in, const struct qd_image *img,
    const struct qd_detect_opts *opts, struct qd_dets *out, struct qd_error *err) QD_MUSTCHECK;

/*
 * Progress on standard error: a bar with rate and time left on a terminal, one line a minute
 * elsewhere, nothing with -q.  Only one at a time.  total 0: unknown.
 */
void cmd_progress_begin(const char *what, long total);
void cmd_progress(long done);
void cmd_progress_end(void);
/* Clear the bar before something else is printed; the next cmd_progress() draws it again. */
void cmd_progress_hide(void);

/* For long work: SIGINT and SIGTERM make cmd_stopped() true, a second one of the same kind ends the
 * program at once; a limit of the file size is reported as a failed write. */
void cmd_signals_watch(void);
bool cmd_stopped(void *ctx);
/* End by the signal that was caught, when all is written. */
void cmd_signal_end(void);

/* Seconds of a clock that never steps. */
double cmd_now(void);
/* A whole number or a decimal fraction, nothing else; no locale is set in commands. */
bool cmd_number(const char *s, bool whole, double *out);
/* Used between the files of cmd/ only: the command being run, and "name: kind message". */
const struct cmd_info *cmd_current(void);
void cmd_vprint(const char *kind, const char *fmt, va_list ap) QD_PRINTF(2, 0);

#endif

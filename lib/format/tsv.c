/* SPDX-License-Identifier: MIT */
/*
 * Records of tab-separated fields, cut in place in the text of the file.
 */
#include "format/tsv.h"

#include <string.h>

#include "base/error.h"
#include "base/io.h"
#include "base/num.h"

enum { SHOWN = 40 }; /* bytes of a field that a message repeats */

int qd_tsv_load(struct qd_tsv *t, const char *path, struct qd_error *err)
{
    *t = (struct qd_tsv){.name = strcmp(path, "-") ? path : "<stdin>"};
    qd_buf_add(&t->file, "", 0); /* an empty file has text, too */
    if (qd_io_slurp(path, QD_TSV_MAX, &t->file, err) < 0 || qd_buf_ok(&t->file, err) < 0) {
        qd_buf_free(&t->file);
        return -1;
    }
    t->next = t->file.data;
    t->end = t->file.data + t->file.len;
    if (t->file.len >= 3 && memcmp(t->next, "\xef\xbb\xbf", 3) == 0)
        t->next += 3;
    return 0;
}

void qd_tsv_close(struct qd_tsv *t)
{
    qd_buf_free(&t->file);
    *t = (struct qd_tsv){0};
}

int qd_tsv_split(char *line, char **field, int max)
{
    int n = 0;

    for (char *s = line, *tab; s; s = tab ? tab + 1 : NULL) {
        if (n == max)
            return -1;
        field[n++] = s;
        tab = strchr(s, '\t');
        if (tab)
            *tab = 0;
    }
    return n;
}

int qd_tsv_next(struct qd_tsv *t, char **field, int max, struct qd_error *err)
{
    while (t->next < t->end) {
        char *line = t->next, *nl = memchr(line, '\n', (size_t)(t->end - line));
        char *stop = nl ? nl : t->end;
        t->next = nl ? nl + 1 : t->end;
        t->line++;
        if (memchr(line, 0, (size_t)(stop - line)))
            return qd_error_at(err, QD_EFORMAT, t->name, t->line, "a zero byte in the text");
        if (stop > line && stop[-1] == '\r')
            stop--;
        *stop = 0; /* the buffer has a zero byte behind its end */
        if (*line == '#' || line[strspn(line, " \t")] == 0)
            continue;
        int n = qd_tsv_split(line, field, max);
        if (n < 0)
            return qd_error_at(
                err, QD_EFORMAT, t->name, t->line, "more than %d fields, separated by tabs", max);
        return n;
    }
    return 0;
}

int qd_tsv_double(
    const struct qd_tsv *t, char *const *field, int column, double *out, struct qd_error *err)
{
    if (qd_num_double(field[column], out))
        return 0;
    return qd_error_at(err, QD_EFORMAT, t->name, t->line, "field %d, '%.*s', is not a number",
        column + 1, SHOWN, field[column]);
}

int qd_tsv_int(const struct qd_tsv *t, char *const *field, int column, struct qd_tsv_range range,
    long long *out, struct qd_error *err)
{
    long long v;

    if (!qd_num_int(field[column], &v))
        return qd_error_at(err, QD_EFORMAT, t->name, t->line, "field %d, '%.*s', is not an integer",
            column + 1, SHOWN, field[column]);
    if (v < range.min || v > range.max)
        return qd_error_at(err, QD_EFORMAT, t->name, t->line,
            "field %d, '%.*s', must be %lld to %lld", column + 1, SHOWN, field[column], range.min,
            range.max);
    *out = v;
    return 0;
}

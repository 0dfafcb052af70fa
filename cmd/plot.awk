# SPDX-License-Identifier: MIT
#
# qd-plot: how a log is read.  This text comes to lie between single quotes; none may be in it.
#
# Read log number i on standard input; files i.CURVE get lines  x y,  an empty one where the curve
# has a hole.  Standard output gets a line  # iterations first last,  the last two on the axis, and
# CURVE points  for each curve; or one line  ! message.  A run that was resumed at an earlier
# iteration replaces what came later.
#
# Columns that have numbers for names are the counts of a histogram, from this number on up to that
# of the next column.  The curve "histogram" is all of them, as shares; lines of its file are
#   x y xlow xhigh ylow yhigh share
# or, for text, x y and a character for the share, with four bins for one.

function fault(text)
{
    printf "! %s\n", text
    failed = 1
    exit
}
function number(s)
{
    return length(s) <= 40 && s ~ /^[-+]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][-+]?[0-9]+)?$/
}
function header(line,   name, i)
{
    sub(/^# */, "", line)
    delete at
    bins = 0
    columns = split(line, name, "\t")
    for (i = 1; i <= columns; i++) {
        at[name[i]] = i
        if (number(name[i]) && (!bins || (name[i] + 0 > low[bins] && i == bin[bins] + 1))) {
            bin[++bins] = i
            low[bins] = name[i] + 0
        }
    }
    if (bins > 1) {
        at["histogram"] = bin[1]
        low[bins + 1] = 2 * low[bins] - low[bins - 1]
    }
    gsub(/\t/, ", ", line)
    all = line
    checked = 0
}
function need(name)
{
    if (!(name in at))
        fault(NR ": no column " Q name Q " (" all ")")
}
function check(   i)
{
    need("iteration")
    need(axis)
    for (i = 1; i <= wanted && given; i++)
        need(want[i])
    checked = 1
}
function axis_value(name,   s)
{
    s = $at[name]
    if (!number(s) || s + 0 < 0 || s + 0 > 1e15)
        fault(NR ": " name " " Q substr(s, 1, 40) Q " is not a number")
    return s + 0
}
# Keep the shares of a histogram; "" if it is empty.
function count(   i, sum)
{
    for (i = 1; i <= bins; i++) {
        if ($bin[i] !~ /^[0-9]+$/ || length($bin[i]) > 15)
            fault(NR ": count " Q substr($bin[i], 1, 40) Q " is not a number")
        sum += $bin[i]
    }
    for (i = 1; i <= bins && sum; i++)
        share[n, i] = $bin[i] / sum
    rows[n] = bins
    return sum ? 1 : ""
}
# A value to draw, "gap" for one that is not finite, "" for none.
function value(k,   s)
{
    if (!(want[k] in at))
        return ""
    if (want[k] == "histogram")
        return count()
    s = $at[want[k]]
    if (s == "-")
        return ""
    if (tolower(s) ~ /^[-+]?(nan|inf|infinity)$/)
        return "gap"
    if (!number(s))
        fault(NR ": " want[k] " " Q substr(s, 1, 40) Q " is not a number")
    s += 0
    return s > 1e100 || s < -1e100 ? "gap" : s
}
BEGIN {
    FS = "\t"
    Q = "\047"
    wanted = split(curves, want, ",")
    header("iteration\tepoch\timages\tlr\tloss\tbox\tobj\tcls\tavg\tnorm\timages_per_s\tscore")
}
{ sub(/\r$/, "") }
/^# *iteration\t/ { header($0); next }
/^#/ { next }
!checked { check() }
NF != columns { fault(NR ": " NF " columns instead of " columns) }
{
    it = axis_value("iteration")
    while (n > 0 && iteration[n] >= it)
        n--
    n++
    iteration[n] = it
    x[n] = axis == "iteration" ? it : axis_value(axis)
    for (k = 1; k <= wanted; k++)
        v[n, k] = value(k)
}
# The mean of the last "smooth" values of a curve, of which y is the i-th (from 0): the running sum
# of a block and what is left of the sum of the block before; nothing is ever subtracted.
function mean(i, y,   b, j)
{
    b = i % smooth
    if (b == 0) {
        tail[smooth] = sum = 0
        for (j = smooth - 1; j >= 0 && i > 0; j--)
            tail[j] = tail[j + 1] + block[j]
    }
    block[b] = y
    sum += y
    return i < smooth ? sum / (i + 1) : (sum + tail[b + 1]) / smooth
}
function draw(k, file, linear,   steady, points, hole, i, y)
{
    steady = smooth == 1 || want[k] == "score" || want[k] == "lr"
    for (i = 1; i <= n; i++) {
        y = v[i, k]
        if (y == "")
            continue
        if (y != "gap" && !steady)
            y = mean(values++, y)
        if (y == "gap" || (!linear && y <= 0)) {
            hole = points > 0
            continue
        }
        if (hole)
            print "" >file
        hole = 0
        points++
        printf "%.15g %.9g\n", x[i], y >file
    }
    close(file)
    printf "%s %d\n", want[k], points
}
# Each row reaches half way to its neighbours.
function draw_histogram(k, file,   i, b, left, right, points)
{
    for (i = 1; i <= n; i++) {
        if (v[i, k] == "")
            continue
        points++
        left = x[i] - (i > 1 ? x[i] - x[i - 1] : 1) / 2
        right = x[i] + (i < n ? x[i + 1] - x[i] : 1) / 2
        for (b = 1; b <= rows[i]; b++)
            if (share[i, b] && !text)
                printf "%.15g %.9g %.15g %.15g %.9g %.9g %.9g\n", x[i], (low[b] + low[b + 1]) / 2,
                    left, right, low[b], low[b + 1], share[i, b] >file
        for (b = 1; b <= rows[i] && text; b += 4)
            put(x[i], (low[b] + low[b + 4 <= rows[i] ? b + 4 : rows[i] + 1]) / 2,
                share[i, b] + share[i, b + 1] + share[i, b + 2] + share[i, b + 3], file)
    }
    close(file)
    printf "histogram %d\n", points
}
function put(x, y, part, file)
{
    if (part > 0)
        printf "%.15g %.9g %s\n", x, y,
            substr(".:-=+*%@", part < .01 ? 1 : part < .05 ? 2 : part < .1 ? 3 : part < .2 ? 4 : \
                part < .35 ? 5 : part < .5 ? 6 : part < .75 ? 7 : 8, 1) >file
}
END {
    if (failed)
        exit
    if (!n) {
        printf "! no iterations in it\n"
        exit
    }
    printf "# %d %.15g %.15g\n", n, x[1], x[n]
    for (k = 1; k <= wanted; k++) {
        values = 0
        if (want[k] == "histogram")
            draw_histogram(k, number_of_log ".histogram")
        else
            draw(k, number_of_log "." want[k], !log_scale || want[k] ~ /^(score|images_per_s)$/)
    }
}

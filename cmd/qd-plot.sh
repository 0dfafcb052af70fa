#!/bin/sh
# SPDX-License-Identifier: MIT
#
# qd-plot: draw the logs of qd-train with gnuplot, as a PNG or as text.  Each log is checked and cut
# into columns of plain numbers in a private folder; gnuplot runs there and gets to see nothing else
# from outside but labels, which are quoted.  Options and messages are those of the other commands
# (cmd/opts.c, cmd/cmd.c).  The Makefile fills in the version.

set -eu
LC_ALL=C
export LC_ALL

axis=iteration
curves=  # names, separated by commas; empty: those below that the logs have
curves_default=loss,score,lr,histogram,below_01,safe
smooth=1
force='' log='' output='' quiet='' verbose='' title=''
want='' width='' height=''
SIZE_MIN=10 SIZE_MAX=4096 SMOOTH_MAX=100000 CURVES_MAX=16

synopsis()
{
    cat <<'END'
usage: qd-plot [-flqvhV] [-o FILE] [-y NAME,...] [-x iteration|epoch|images]
               [-s N] [-i N|WxH] [-t TEXT] LOG ...
END
}

help()
{
    synopsis
    cat <<END
draw the curves of training logs

  -o, --output FILE               a PNG [text on standard output]
  -y, --curves NAME,...           columns of the log [$curves_default]
  -x, --axis iteration|epoch|images what lies below [$axis]
  -l, --log                       logarithmic scale for all but score and images_per_s
  -s, --smooth N                  mean of the last N values, for all but score and lr [$smooth]
  -i, --img-size N|WxH            pixels, or columns and lines of text [as fits]
  -t, --title TEXT                what stands above
  -f, --force                     replace files that exist
  -q, --quiet                     no progress, no warnings
  -v, --verbose                   say what is done
  -h, --help                      print this
  -V, --version                   print the version
END
}

version()
{
    echo 'qd-plot @VERSION@'
}

# A file name must not break the line.
plain()
{
    printf '%s' "$1" | tr '\001-\037\177' '[?*]'
}

say()
{
    printf 'qd-plot: %s\n' "$(plain "$1")" >&2
}

fail()
{
    say "$1"
    exit 1
}

misuse()
{
    say "$1"
    synopsis >&2
    exit 2
}

# The reason at the end of a tool's message, '... : REASON', on several lines perhaps.
reason()
{
    printf '%s\n' "$1" | sed -n '$s/.*: //p'
}

# Copy a file to standard output, which may be full or closed.
put()
{
    if ! (exec 3>&1) 2>/dev/null; then
        fail "cannot write 'standard output': Bad file descriptor"
    fi
    exec 3>&1
    why=$(cat "$1" 2>&1 >&3) || fail "cannot write 'standard output': $(reason "$why")"
    exec 3>&-
}

# ------------------------------------------------------------------ options ---------------------

set_smooth()
{
    smooth=${1#+}
    case $smooth in
    '' | *[!0-9]*) misuse "option -s/--smooth: '$1' is not a whole number" ;;
    ??????????*) ;;
    *) [ "$smooth" -lt 1 ] || [ "$smooth" -gt $SMOOTH_MAX ] || return 0 ;;
    esac
    misuse "option -s/--smooth: $1 is not in 1 to $SMOOTH_MAX"
}

set_size()
{
    width=${1%%[xX]*}
    height=${1#*[xX]}
    for n in "$width" "$height"; do
        case $n in
        '' | 0* | *[!0-9]* | ??????*) n=0 ;;
        esac
        if [ "$n" -lt $SIZE_MIN ] || [ "$n" -gt $SIZE_MAX ]; then
            misuse "option -i/--img-size: '$1' is not a size (N or WxH, $SIZE_MIN to $SIZE_MAX)"
        fi
    done
}

set_curves()
{
    case ,$1, in
    *,,* | *[!A-Za-z0-9_/,]*) misuse "option -y/--curves: '$1' is not a list of columns" ;;
    esac
    curves=$(printf '%s\n' "$1" | sed 's|images/s|images_per_s|g')
    n=$(printf '%s\n' "$curves" | tr ',' '\n' | wc -l)
    [ "$n" -le $CURVES_MAX ] || misuse "option -y/--curves: more than $CURVES_MAX columns"
}

# What -LETTER or --NAME is: LETTER/--NAME, and what its argument is called.
option()
{
    case $1 in
    f | force) echo 'f/--force' ;;
    h | help) echo 'h/--help' ;;
    i | img-size) echo 'i/--img-size N|WxH' ;;
    l | log) echo 'l/--log' ;;
    o | output) echo 'o/--output FILE' ;;
    q | quiet) echo 'q/--quiet' ;;
    s | smooth) echo 's/--smooth N' ;;
    t | title) echo 't/--title TEXT' ;;
    V | version) echo 'V/--version' ;;
    v | verbose) echo 'v/--verbose' ;;
    x | axis) echo 'x/--axis iteration|epoch|images' ;;
    y | curves) echo 'y/--curves NAME,...' ;;
    esac
}

# set_option LETTER/--NAME [VALUE]
set_option()
{
    case $1 in
    f/*) force=1 ;;
    h/*) want=help ;;
    i/*) set_size "$2" ;;
    l/*) log=1 ;;
    o/*) output=$2 ;;
    q/*) quiet=1 ;;
    s/*) set_smooth "$2" ;;
    t/*) title=$2 ;;
    V/*) want=${want:-version} ;;
    v/*) verbose=1 ;;
    x/*)
        case $2 in
        iteration | epoch | images) axis=$2 ;;
        *) misuse "option -x/--axis: '$2' is not one of iteration|epoch|images" ;;
        esac
        ;;
    y/*) set_curves "$2" ;;
    esac
}

# Read '--name', '--name=value', '--name value', '-abc', '-n5' or '-n 5', the last of each with what
# follows; sets 'used', how many arguments that took.
read_option()
{
    used=1
    word=$1
    while [ -n "$word" ]; do
        case $word in
        --*)
            flag=${word%%=*}
            name=$(printf '%s' "${flag#--}" | tr 'A-Z_' 'a-z-')
            [ ${#name} -gt 1 ] || name=none
            rest=${word#"$flag"}
            value=${rest#=}
            ;;
        *)
            rest=${word#-?}
            flag=${word%"$rest"}
            name=${flag#-}
            value=$rest
            ;;
        esac
        found=$(option "$name")
        case $found in
        '') misuse "no such option: '$flag'" ;;
        *' '*)
            if [ -z "$rest" ]; then
                [ $left -gt 1 ] || misuse "option -${found%% *} needs a value (${found#* })"
                value=$2
                used=2
            fi
            set_option "${found%% *}" "$value"
            return
            ;;
        esac
        case $word in
        --*=*) misuse "option ${found#*/} takes no value" ;;
        --*) word='' ;;
        *) word=${rest:+-$rest} ;;
        esac
        set_option "$found"
    done
}

# ------------------------------------------------------------------ logs ------------------------

# What collect() runs on each log.
# shellcheck disable=SC2016
read_log='
@include cmd/plot.awk
'

# collect I LOG: copy, check and cut a log.
collect()
{
    shown=$2
    case $2 in
    -) shown='standard input' ;;
    /*) ;;
    *) set -- "$1" "./$2" ;;
    esac
    if [ -e "$2" ] && ! [ -f "$2" ] && ! [ -p "$2" ] && ! [ -d "$2" ]; then
        fail "'$shown' is not a file"
    fi
    why=$(cat "$2" 2>&1 >"$tmp/log") || fail "cannot read '$shown': $(reason "$why")"
    # A last line without its end is still being written.
    whole_lines='$!p'
    [ -n "$(tail -c 1 "$tmp/log" | tr '\n\000' ' x' | tr -d ' ')" ] || whole_lines=p
    sed -n "$whole_lines" "$tmp/log" | (
        cd "$tmp"
        awk -v number_of_log="$1" -v axis="$axis" -v curves="${curves:-$curves_default}" \
            -v given="$curves" -v smooth="$smooth" -v log_scale="$log" -v text="$text" "$read_log"
    ) >"$tmp/part" || fail "cannot read '$shown'"
    line=$(sed -n 's/^! //p' "$tmp/part")
    case $line in
    '') ;;
    [0-9]*) fail "$shown:$line" ;;
    *) fail "$shown: $line" ;;
    esac
    [ -z "$verbose" ] || say "$shown: $(sed -n 's/^# \([0-9]*\).*/\1/p' "$tmp/part") iterations"
    sed "s/^/$1 /" "$tmp/part" >>"$tmp/curves"
}

# ------------------------------------------------------------------ drawing ---------------------

# A text as gnuplot takes it: what is no UTF-8 and no printable character is a question mark, and a
# quote is doubled.  Between single quotes nothing else means anything.
quote()
{
    text=$(plain "$1")
    case $text in
    *[!\ -~]*)
        if ! printf '%s' "$text" | iconv -f UTF-8 -t UTF-8 >/dev/null 2>&1; then
            text=$(printf '%s' "$text" | tr '\200-\377' '[?*]')
        fi
        ;;
    ?????????????????????????????????????????????????*)
        text=...$(printf '%s' "$text" | tail -c 45)
        ;;
    esac
    printf "'%s'" "$(printf '%s' "$text" | sed "s/'/''/g")"
}

# What all logs have together: 'x first last', and 'CURVE points' in the order of -y; histograms
# cannot share a panel, each is 'histogram@LOG points'.
totals()
{
    awk '
        $2 == "#" {
            left = NR == 1 || $4 < left ? $4 : left
            right = NR == 1 || $5 > right ? $5 : right
            next
        }
        $2 == "histogram" { $2 = $2 "@" $1 }
        !($2 in points) { order[++n] = $2 }
        { points[$2] += $3 }
        END {
            printf "x %.15g %.15g\n", left, right
            for (i = 1; i <= n; i++)
                print order[i], points[order[i]]
        }' "$tmp/curves"
}

# The columns of the terminal, which standard output is or is not.
columns()
{
    case ${COLUMNS:-$terminal} in
    [3-9][2-9] | [4-9][0-9] | [1-9][0-9][0-9]) echo "${COLUMNS:-$terminal}" ;;
    *) echo 80 ;;
    esac
}

# histogram I LOG: the commands that draw a histogram over time.
histogram()
{
    echo 'unset logscale y; unset grid; set yrange [0:*]'
    echo "set ylabel '|gamma|'; set cblabel 'share'"
    if [ -n "$output" ]; then
        echo "set palette defined (0 '#ffffff', 0.02 '#c6dbef', 0.1 '#6baed6', 0.3 '#2171b5'," \
            "1 '#08306b')"
        echo 'set cbrange [0:1]'
        printf "plot '%d.histogram' using 1:2:3:4:5:6:7 with boxxyerror fillcolor palette" "$1"
        printf ' fillstyle solid noborder'
    else
        printf "plot '%d.histogram' using 1:2:3 with labels" "$1"
    fi
    printf ' title %s\n' "$(quote "$2")"
    echo "set yrange [*:*]${output:+; set grid}"
}

# panel CURVE LOG...: the commands that draw a curve of all logs.
panel()
{
    curve=$1
    shift
    case $curve in
    histogram@*)
        shift $((${curve#*@} - 1))
        histogram "${curve#*@}" "$1"
        return
        ;;
    score | images_per_s) echo 'unset logscale y' ;;
    *) [ -z "$log" ] || echo 'set logscale y' ;;
    esac
    echo "set ylabel '$curve'"
    i=0
    sep='plot '
    for f in "$@"; do
        i=$((i + 1))
        n=$(awk -v i=$i -v c="$curve" '$1 == i && $2 == c { print $3 }' "$tmp/curves")
        if [ "$n" -eq 0 ]; then
            printf '%sNaN with lines linetype %d' "$sep" $i
        else
            style=lines
            [ "$curve" != score ] || style=linespoints
            [ "$n" -gt 1 ] || style=points
            printf "%s'%d.%s' using 1:2 with %s linetype %d" "$sep" $i "$curve" $style $i
            # In text a point is a letter, another one for each log.
            [ -z "$output" ] || [ $style = lines ] || printf ' pointtype 7 pointsize 0.6'
        fi
        printf ' title %s' "$(quote "${f%.log}")"
        sep=', '
    done
    echo
}

# script PANELS LOG...: everything for gnuplot.
script()
{
    panels=$1
    shift
    echo 'set encoding utf8'
    if [ -n "$output" ]; then
        [ -n "$width" ] || { width=960 && height=$((60 + 250 * panels)); }
        echo "png = strstrt(GPVAL_TERMINALS, ' pngcairo ') ? 'pngcairo' : 'png'"
        echo "set terminal @png size $width,$height noenhanced font ',11'"
        echo "set output 'plot.png'"
        echo "set multiplot layout $panels,1 title $(quote "$title")"
        echo 'set lmargin 11; set rmargin 4; set grid; set tics nomirror'
        # The scale of colors would move the right end of one panel only.
        ! grep -q ' histogram [1-9]' "$tmp/curves" ||
            echo 'set lmargin at screen 0.1; set rmargin at screen 0.88'
    else
        [ -n "$width" ] || { width=$(columns) && height=$((18 * panels)); }
        lines=$((height / panels))
        [ $lines -ge 10 ] || lines=10
        echo "set terminal dumb noenhanced mono nofeed size $width,$lines"
        echo "set output 'plot.txt'"
        echo 'set lmargin 11; set border back'
    fi
    echo "set format y '%g'; set format x '%g'"
    echo 'set key above'
    [ -n "$output" ] || echo "set title $(quote "$title")"
    read -r _ left right
    [ "$left" = "$right" ] || echo "set xrange [$left:$right]"
    row=0
    while read -r curve points; do
        [ "$points" -gt 0 ] || continue
        row=$((row + 1))
        [ $row -lt "$panels" ] || echo "set xlabel '$axis'"
        [ $row -le 1 ] || echo 'unset key; unset title'
        panel "$curve" "$@"
    done
    [ -z "$output" ] || echo 'unset multiplot'
    echo 'unset output'
}

# Put the finished picture in its place: whole, or not at all.
deliver()
{
    [ "$output" != - ] || { put "$tmp/plot.png" && return; }
    if [ -e "$file" ] && ! [ -f "$file" ]; then
        # a device or a pipe has no folder to rename in
        why=$(cat "$tmp/plot.png" 2>&1 >"$file") || fail "cannot write '$output': $(reason "$why")"
        return
    fi
    beside=$(mktemp "$file.tmp-XXXXXX" 2>&1) || {
        why=$(reason "$beside")
        beside=
        fail "cannot create '$output': $why"
    }
    why=$(cat "$tmp/plot.png" 2>&1 >"$beside" && chmod "$mode" "$beside" 2>&1 &&
        mv -f "$beside" "$file" 2>&1) || fail "cannot write '$output': $(reason "$why")"
    beside=
}

draw()
{
    command -v gnuplot >/dev/null || fail "gnuplot is not installed (package gnuplot-nox of Debian)"
    if ! (cd "$tmp" && gnuplot -d plot.gp >gnuplot.out 2>&1 </dev/null); then
        fail "gnuplot: $(grep -v '^[[:space:]]*^\{0,1\}$' "$tmp/gnuplot.out" | tail -n 1)"
    fi
    if [ -n "$output" ]; then
        # A whole PNG ends with the chunk IEND.
        [ "$(tail -c 8 "$tmp/plot.png" 2>/dev/null | tr -cd '[:upper:]' | cut -c 1-4)" = IEND ] ||
            fail "gnuplot wrote no picture: $(tail -n 1 "$tmp/gnuplot.out")"
        deliver
    else
        [ -s "$tmp/plot.txt" ] || fail "gnuplot drew nothing: $(tail -n 1 "$tmp/gnuplot.out")"
        tr -d '\f' <"$tmp/plot.txt" | sed 's/ *$//' | sed '/./,$!d' >"$tmp/text"
        put "$tmp/text"
    fi
}

# ------------------------------------------------------------------ main ------------------------

# Operands are moved behind the options, which may follow them; 'left' counts what is unread.
left=$#
operands=0
ended=''
while [ $left -gt 0 ]; do
    used=1
    case $ended$1 in
    --) ended=/ ;;
    -?*) read_option "$1" "${2-}" ;;
    *)
        set -- "$@" "$1"
        operands=$((operands + 1))
        ;;
    esac
    shift $used
    left=$((left - used))
done

beside=''
terminal=''
[ ! -t 1 ] || terminal=$(stty size </dev/tty 2>/dev/null | sed 's/.* //')
tmp=$(mktemp -d "${TMPDIR:-/tmp}/qd-plot-XXXXXX" 2>&1) ||
    fail "cannot create a folder in '${TMPDIR:-/tmp}': $(reason "$tmp")"
trap 'rm -rf "$tmp" ${beside:+"$beside"}' EXIT
trap 'exit 130' INT
trap 'exit 143' HUP TERM
if [ -n "$want" ]; then
    $want >"$tmp/text"
    put "$tmp/text"
    exit 0
fi
[ $operands -gt 0 ] || misuse 'no LOG ... given'
mode=$(printf '%03o' $((0666 & ~$(umask))))
if [ -n "$output" ] && [ "$output" != - ]; then
    case $output in
    /*) file=$output ;;
    *) file=./$output ;;
    esac
    if [ -e "$file" ] || [ -L "$file" ]; then
        [ -n "$force" ] || fail "'$output' exists already (use -f to replace it)"
        [ ! -d "$file" ] || fail "cannot write '$output': Is a directory"
    fi
fi

text=''
[ -n "$output" ] || text=1
i=0
for f in "$@"; do
    i=$((i + 1))
    collect $i "$f"
done
totals >"$tmp/totals"
panels=$(awk 'NR > 1 && $2 { n++ } END { print n + 0 }' "$tmp/totals")
if [ -n "$curves" ] && [ -z "$quiet" ]; then
    awk 'NR > 1 && !$2 { sub(/@.*/, "", $1); print $1 }' "$tmp/totals" | while read -r curve; do
        say "warning: nothing to draw of '$curve'"
    done
fi
[ "$panels" -gt 0 ] || fail 'nothing to draw'
script "$panels" "$@" <"$tmp/totals" >"$tmp/plot.gp"
draw

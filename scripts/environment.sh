# Sourced by ./demo, ./test and bench/run, from the top folder: find a Python, let it make an environment (.venv, or .venv-bench
# to measure), leave in $python the one to use. One argument: the group of packages (demo, dev or bench).
# Plain POSIX sh; it must not need anything but a Python >= 3.11.

unset PYTHONHOME PYTHONPATH PYTHONSTARTUP PYTHONSAFEPATH PYTHONDONTWRITEBYTECODE VIRTUAL_ENV
export PYTHONUTF8=1
# Python takes UTF-8 where a locale is C, or isn't there (PEP 538), but not against LC_ALL; and until 3.12 it reads the
# path to this folder in that encoding.
[ -z "${LC_ALL:-}" ] || { export LANG="$LC_ALL" && unset LC_ALL; }
probe='import fcntl, json, ssl, subprocess, sys, venv; sys.exit(sys.version_info < (3, 11))'
found='' older=''
search="$PATH:/opt/homebrew/bin:/usr/local/bin:/usr/bin:${HOME:-/nonexistent}/.local/bin"

usable() {
    # On a Mac this one is Apple's placeholder: it is too old, and may open a dialogue.
    [ "$(uname)" = Darwin ] && [ "$1" = /usr/bin/python3 ] && return 1
    "$1" -c "$probe" >/dev/null 2>&1 || { older="$older $1" && return 1; }
}

names='python3.14 python3.13 python3.12 python3.11 python3 python'
for name in $names; do
    path=$(PATH="$search" command -v "$name") && usable "$path" && found=$path && break
done

venv=.venv
if [ "$1" = bench ]; then
    # One measures with a Python as one serves with. Version managers build theirs without a profile, which takes
    # nearly twice the time: of all that are here, the quickest.
    venv=.venv-bench least=''
    adding='import timeit; print(int(1e6 * min(timeit.repeat("for n in range(1000): t += n", "t = 0", number=99))))'
    for name in $names; do
        IFS=:
        for folder in $search; do
            unset IFS
            [ -x "$folder/$name" ] && usable "$folder/$name" || continue
            took=$("$folder/$name" -c "$adding")
            [ -n "$least" ] && [ "$took" -ge "$least" ] && continue
            least=$took found=$folder/$name
        done
    done
fi

if [ -n "$found" ]; then
    "$found" scripts/bootstrap.py "$1" || exit
elif uv=$(PATH="$search" command -v uv); then
    "$uv" run --quiet --no-project --python '>=3.11,<3.15' scripts/bootstrap.py "$1" || exit
else
    echo "Avow needs Python 3.11 or newer with its standard library${older:+ (too old or incomplete:$older)}: install one" \
        "(Debian 12, Ubuntu 24.04 and newer: apt-get install python3 python3-venv; Ubuntu 22.04: apt-get install" \
        "python3.11 python3.11-venv; macOS: brew install python; elsewhere: uv, which brings one) and run this again." >&2
    exit 3
fi
python=$PWD/$venv/bin/python

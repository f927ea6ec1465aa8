#!/bin/sh
# Installs the program with its libtorch for all users of the machine or of a container. The program finds
# libtorch by a relative path, so the folder may be moved, copied into an image, or shared between nodes.
#
# usage: install.sh PROGRAM PREFIX     PREFIX/{bin,lib,share}
set -eu
program=$1 prefix=$2
umask 022
cd "$(dirname "$0")/.."
torch=$(readlink -f .libtorch)
to=$prefix/lib/capfilt
mkdir -p "$prefix/bin" "$to/torch/lib"

# Copies newer libraries. A library is replaced in one step, because a running program may have mapped the old
# one.
copy() {
    for file in "$1"/*.so*; do
        target=$2/$(basename "$file")
        [ -e "$target" ] && [ ! "$file" -nt "$target" ] && [ ! "$target" -nt "$file" ] && continue
        cp -Lp --reflink=auto "$file" "$target.new"
        chmod 755 "$target.new"
        mv -f "$target.new" "$target"
    done
}
copy "$torch/lib" "$to/torch/lib"
# libtorch's rpath searches the libraries of CUDA in nvidia/ beside torch/.
for folder in "$torch"/../nvidia/*/lib; do
    [ -d "$folder" ] || continue
    part=nvidia/$(basename "$(dirname "$folder")")/lib
    mkdir -p "$to/$part"
    copy "$folder" "$to/$part"
done
mkdir -p "$prefix/share/capfilt/demo"
cp -R demo/models "$prefix/share/capfilt/demo/" # `capfilt demo` finds them beside the program
python3 scripts/sbom.py "$prefix/share/capfilt"
cp LICENSE "$prefix/share/capfilt/"
# Licences of libtorch and of NVIDIA's libraries.
for licences in "$torch"/../*.dist-info/licenses; do
    [ -d "$licences" ] || continue
    part=$(basename "$(dirname "$licences")" .dist-info)
    mkdir -p "$prefix/share/capfilt/libtorch-licenses/$part"
    cp -RL "$licences/." "$prefix/share/capfilt/libtorch-licenses/$part/"
done
strip -o "$prefix/bin/capfilt.new" "$program" # 52 MB instead of 133 MB
chmod 755 "$prefix/bin/capfilt.new"
mv -f "$prefix/bin/capfilt.new" "$prefix/bin/capfilt"
"$prefix/bin/capfilt" man "$prefix/share/man/man1"
for shell in bash:share/bash-completion/completions/capfilt zsh:share/zsh/site-functions/_capfilt \
    fish:share/fish/vendor_completions.d/capfilt.fish; do
    mkdir -p "$prefix/$(dirname "${shell#*:}")"
    "$prefix/bin/capfilt" completions "${shell%%:*}" >"$prefix/${shell#*:}"
done
"$prefix/bin/capfilt" --version
echo "capfilt: installed in $prefix; put $prefix/bin on the PATH"

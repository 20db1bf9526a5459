#!/usr/bin/env bash
# Tunes this host for very many connections, as sysctl/99-throng.conf says and explains.
#
#   scripts/tune.sh [--check]   compares and changes nothing; exit code 1 if something is missing
#   scripts/tune.sh --apply     says what it will write, writes it, remembers what was there
#   scripts/tune.sh --revert    puts back exactly that, and removes the files that it installed
#
# Values that are better already stay. What this kernel lacks or forbids is told and left. What was
# there before lies in /var/lib/throng/tune.before until --revert; applying twice does not change
# it. The environment may name other places: THRONG_TUNE_CONF (the values), THRONG_TUNE_STATE (what
# was there before), THRONG_TUNE_ROOT (put before the path of every file that is installed) and
# THRONG_TUNE_SYSCTL (in place of /proc/sys).
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
root=${THRONG_TUNE_ROOT:-}
sysctls=${THRONG_TUNE_SYSCTL:-/proc/sys}
conf=${THRONG_TUNE_CONF:-$here/sysctl/99-throng.conf}
state=${THRONG_TUNE_STATE:-$root/var/lib/throng/tune.before}

# Written here, so that values of the conf which this host does not need are not set at boot.
boot_conf=$root/etc/sysctl.d/99-throng.conf

say() { printf '%s\n' "$*"; }
die() {
    printf 'tune: %s\n' "$*" >&2
    exit 1
}

# --- What the conf wants ---

keys=()
declare -A wanted=() rule=()

read_conf() {
    local line key value next_rule=''
    [[ -r $conf ]] || die "cannot read $conf: THRONG_TUNE_CONF names another"
    while IFS= read -r line; do
        case $line in
            '# Rule: '*) next_rule=${line#'# Rule: '} ;;
            '#'* | '') ;;
            *=*)
                key=$(words "${line%%=*}") value=$(words "${line#*=}")
                case $next_rule in
                    'at least' | 'at most' | 'within memory' | range) ;;
                    *) die "$conf: $key has no rule that is known: '$next_rule'" ;;
                esac
                keys+=("$key")
                wanted[$key]=$value rule[$key]=$next_rule next_rule=''
                ;;
            *) die "$conf: neither a comment nor key = value: $line" ;;
        esac
    done <"$conf"
}

# Prints the words of a text with one space between them.
words() {
    local split
    read -ra split <<<"${1//[$'\t\n']/ }"
    printf '%s' "${split[*]}"
}

path_of() { printf '%s/%s' "$sysctls" "${1//.//}"; }

# Prints the value of a key; fails where the kernel does not have it.
value_of() {
    local value
    { value=$(<"$(path_of "$1")"); } 2>/dev/null || return 1
    words "$value"
}

# Prints what a key should become: the better of what is there and what is wanted, number by number.
target_of() {
    local key=$1 now=$2 want=${wanted[$1]} at result=()
    local -a have
    [[ ${rule[$key]} != 'within memory' ]] || want=$(within_memory "$want")
    read -ra have <<<"$now"
    read -ra want <<<"$want"
    for at in "${!want[@]}"; do
        case ${rule[$key]}:$at in
            'at most:'* | range:0) result+=("$(smaller "${have[at]}" "${want[at]}")") ;;
            *) result+=("$(larger "${have[at]}" "${want[at]}")") ;;
        esac
    done
    printf '%s' "${result[*]}"
}

smaller() { if (($1 < $2)); then printf '%s' "$1"; else printf '%s' "$2"; fi; }
larger() { if (($1 > $2)); then printf '%s' "$1"; else printf '%s' "$2"; fi; }

# Prints numbers of pages, in proportion, of which the last is at most a third of the memory.
within_memory() {
    local -a pages
    local kib last number result=()
    read -ra pages <<<"$1"
    kib=$(awk '$1 == "MemTotal:" { print $2 }' /proc/meminfo)
    last=$(smaller "${pages[-1]}" $((kib / ($(getconf PAGESIZE) / 1024) / 3)))
    for number in "${pages[@]}"; do
        result+=($((number * last / pages[-1])))
    done
    printf '%s' "${result[*]}"
}

# --- The files ---

# Prints SOURCE and DESTINATION of each file to install, one pair a line: for logins where PAM is,
# for the service where systemd is.
files() {
    if [[ -d $root/etc/security ]]; then
        printf '%s\t%s\n' "$here/packaging/limits.conf" \
            "$root/etc/security/limits.d/99-throng.conf"
    fi
    if [[ -d $root/run/systemd/system ]]; then
        printf '%s\t%s\n' "$here/packaging/limits.service.conf" \
            "$root/etc/systemd/system/throng.service.d/99-throng.conf"
    fi
}

# --- What was there before: lines of KIND, NAME and, of a sysctl, its OLD and NEW value ---

remembers() { [[ -e $state ]] && grep -qF -- "$1"$'\t'"$2" < <(cut -f 1,2 "$state"); }

remember() {
    local IFS=$'\t'
    printf '%s\n' "$*" >>"$state"
}

# Prints what a sysctl was before it was set for the first time.
old_value_of() {
    awk -F '\t' -v name="$1" '$1 == "sysctl" && $2 == name { print $3 }' "$state"
}

forget() {
    local rest
    rest=$(awk -F '\t' -v kind="$1" -v name="$2" '$1 != kind || $2 != name' "$state")
    # In one step, so that it is never half a file.
    printf '%s' "${rest:+$rest$'\n'}" >"$state.new"
    mv "$state.new" "$state"
}

# --- check ---

check() {
    local key now target verdict missing=0 source destination
    printf '%-34s %-24s %-24s %s\n' key now wanted ''
    for key in "${keys[@]}"; do
        if ! now=$(value_of "$key"); then
            printf '%-34s %-24s %-24s %s\n' "$key" - "${wanted[$key]}" 'not in this kernel'
            continue
        fi
        target=$(target_of "$key" "$now")
        verdict=ok
        if [[ $target != "$now" ]]; then
            missing=1
            case ${rule[$key]} in
                'at most') verdict=high ;;
                range) verdict=narrow ;;
                *) verdict=low ;;
            esac
            [[ -w $(path_of "$key") ]] || verdict+=', may not be written here'
        fi
        printf '%-34s %-24s %-24s %s\n' "$key" "$now" "$target" "$verdict"
    done
    while IFS=$'\t' read -r source destination; do
        verdict=ok
        cmp -s "$source" "$destination" || verdict=missing
        [[ $verdict == ok || ! -e $destination ]] || verdict='differs, and is not touched'
        [[ $verdict != missing ]] || missing=1
        say "$destination: $verdict"
    done < <(files)
    ((missing == 0)) || say "scripts/tune.sh --apply sets what is missing, as root"
    return $missing
}

# --- apply ---

apply() {
    local -A target=()
    local -a change=() install=()
    local key now source destination
    for key in "${keys[@]}"; do
        if ! now=$(value_of "$key"); then
            say "$key: not in this kernel, left out"
            continue
        fi
        target[$key]=$(target_of "$key" "$now")
        [[ ${target[$key]} != "$now" ]] || continue
        if [[ ! -w $(path_of "$key") ]]; then
            say "$key: is $now, may not be written here, left out"
            continue
        fi
        change+=("$key")
        say "will set $key: $now -> ${target[$key]}"
    done
    while IFS=$'\t' read -r source destination; do
        if cmp -s "$source" "$destination"; then
            continue
        elif [[ -e $destination ]] && ! remembers file "$destination"; then
            say "$destination: is there and not ours, left alone"
            continue
        fi
        install+=("$source"$'\t'"$destination")
        announce "$destination" 'what packaging/ has'
    done < <(files)
    if ((${#change[@]} + ${#install[@]} == 0)); then
        say "nothing to do"
        return
    fi
    plan_boot_conf
    announce "$state" 'what was there before'
    ! needs_reload || say "will run systemctl daemon-reload"

    make_folders_of "$state"
    touch "$state"
    set_sysctls
    install_files
    write_boot_conf
    ! needs_reload || reload
    say "done; scripts/tune.sh --revert puts it back"
    say_when_limits_count
}

# Says whether there will be values for the next boot; somebody else's file is not touched.
has_boot_conf=0
plan_boot_conf() {
    ((${#change[@]} > 0)) || return 0
    if [[ -e $boot_conf ]] && ! remembers file "$boot_conf"; then
        say "$boot_conf: is there and not ours, left alone: the values hold until the next boot"
        return
    fi
    has_boot_conf=1
    announce "$boot_conf" 'these values, for the next boot'
}

# Says that a file will be written, and which folders will be made for it.
announce() {
    local folder
    while IFS= read -r folder; do
        say "will make $folder"
    done < <(missing_folders_of "$1")
    say "will write $1: $2"
}

# Limits are given to what starts later: a server from this shell has the old ones.
say_when_limits_count() {
    local pair
    for pair in "${install[@]}"; do
        case $pair in
            */limits.d/*) say "nofile and memlock count from the next login (ulimit -Hn, -l)" ;;
            *) say "those of the service count from its next start: systemctl restart throng" ;;
        esac
    done
}

needs_reload() {
    # Below another root it is not this host's.
    [[ -z $root && -d /run/systemd/system ]] && ((${#install[@]} > 0))
}

reload() { systemctl daemon-reload || say "systemctl daemon-reload failed: run it by hand"; }

# Remembers before it writes, so that a --revert is complete whenever this ends.
set_sysctls() {
    local key now old
    for key in "${change[@]}"; do
        now=$(value_of "$key")
        old=$now
        ! remembers sysctl "$key" || old=$(old_value_of "$key")
        forget sysctl "$key"
        remember sysctl "$key" "$old" "${target[$key]}"
        write_value "$key" "${target[$key]}" || say "$key: the kernel refuses it, left at $now"
        # There is nothing to put back, and nothing to set at boot.
        [[ $(value_of "$key") != "$old" ]] || forget sysctl "$key"
    done
}

write_value() { { printf '%s\n' "$2" >"$(path_of "$1")"; } 2>/dev/null; }

install_files() {
    local pair source destination
    for pair in "${install[@]}"; do
        IFS=$'\t' read -r source destination <<<"$pair"
        make_folders_of "$destination"
        remembers file "$destination" || remember file "$destination"
        install -m 644 "$source" "$destination"
    done
}

write_boot_conf() {
    ((has_boot_conf)) || return 0
    make_folders_of "$boot_conf"
    remembers file "$boot_conf" || remember file "$boot_conf"
    {
        say "# Written by scripts/tune.sh --apply; --revert removes it. Why: sysctl/99-throng.conf."
        awk -F '\t' '$1 == "sysctl" { print $2 " = " $4 }' "$state"
    } >"$boot_conf"
}

# Prints the folders above a file that are not there, the outermost first.
missing_folders_of() {
    local folder
    folder=$(dirname "$1")
    [[ ! -d $folder ]] || return 0
    missing_folders_of "$folder"
    printf '%s\n' "$folder"
}

# Makes them; all but those of the state go again with --revert.
make_folders_of() {
    local folder folders
    mapfile -t folders < <(missing_folders_of "$1")
    for folder in "${folders[@]}"; do
        mkdir "$folder"
        [[ $1 == "$state" ]] || remember folder "$folder"
    done
}

# --- revert ---

revert() {
    local kind name old _ failed=0
    if [[ ! -e $state ]]; then
        say "nothing to revert: $state is not there"
        return
    fi
    # Backwards, so that folders are empty when their turn comes.
    while IFS=$'\t' read -r kind name old _; do
        case $kind in
            sysctl) put_back "$name" "$old" || { failed=1 && continue; } ;;
            file)
                say "removing $name"
                rm -f "$name"
                ;;
            folder) [[ ! -d $name ]] || rmdir --ignore-fail-on-non-empty "$name" ;;
            *) die "$state: a line that tune.sh has not written: $kind" ;;
        esac
        forget "$kind" "$name"
    done < <(tac "$state")
    if [[ -z $root && -d /run/systemd/system ]]; then
        say "running systemctl daemon-reload"
        reload
    fi
    ((failed == 0)) || die "some values could not be put back; $state still has them"
    rm "$state"
    rmdir --ignore-fail-on-non-empty "$(dirname "$state")"
    say "done"
}

put_back() {
    local now
    if ! now=$(value_of "$1"); then
        say "$1: not in this kernel any more, nothing to put back"
        return
    fi
    say "setting $1: $now -> $2"
    if ! write_value "$1" "$2" || [[ $(value_of "$1") != "$2" ]]; then
        say "$1: the kernel refuses it"
        return 1
    fi
}

need_root() {
    [[ -n $root ]] || ((EUID == 0)) || die "only root may do that: sudo scripts/tune.sh $1"
}

usage() {
    printf 'usage: scripts/tune.sh [--check | --apply | --revert]\n' >&2
    exit 2
}

umask 022
(($# <= 1)) || usage
case ${1:---check} in
    --check) read_conf && check ;;
    --apply) need_root --apply && read_conf && apply ;;
    --revert) need_root --revert && revert ;;
    -h | --help) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}" ;;
    *) usage ;;
esac

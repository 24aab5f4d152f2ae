#!/usr/bin/perl
# Plays Claude Code: waits for a file, then says so many lines a second, each with the microsecond at which it was said.
use strict;
use warnings;
use Time::HiRes qw(time sleep);

my ($rate, $seconds) = (RATE, SECONDS);
$| = 1;
<STDIN>;
print '{"type":"system","subtype":"init","session_id":"s","model":"actor","tools":[],"claude_code_version":"0"}', "\n";
open(my $waits, '>', 'WAITS') or die;
close($waits);
sleep(0.005) until -e 'GO';
unlink('GO', 'WAITS');
my $begun = time;
for my $n (0 .. $rate * $seconds - 1) {
    my $early = $begun + $n / $rate - time;
    sleep($early) if $early > 0;
    printf '{"type":"assistant","message":{"content":[{"type":"text","text":"at=%016d %s"}]}}' . "\n", time * 1e6, 'x' x 80;
}
print '{"type":"result","subtype":"success","is_error":false,"result":"done","num_turns":1,"session_id":"s",',
    '"total_cost_usd":0,"structured_output":{"title":"t","summary":"s","details":"","verification":"v","changed":false}}', "\n";

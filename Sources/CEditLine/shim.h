// What the chat uses of libedit's readline interface. Its settings are global variables, which Swift does not share
// between threads; here they become functions.
#ifndef CEDITLINE_SHIM_H
#define CEDITLINE_SHIM_H

#include <stdio.h>
#include <stdlib.h>
#include <editline/readline.h>

/// Sets libedit up. It must take no signals, because it would pass them on to the whole process group.
/// - next: gives the next key as a Unicode scalar, or -1 to leave off reading.
/// - complete: gives the completions of the word at a range of the line.
/// - output: 1 or 2, where the line is shown.
static inline void editline_start(
    int (*next)(FILE *), char **(*complete)(const char *, int, int), int output) {
  rl_readline_name = "malmoi";
  rl_catch_signals = 0;
  rl_outstream = output == 2 ? stderr : stdout;
  rl_getc_function = next;
  rl_attempted_completion_function = complete;
  rl_initialize();
}

/// Says that the completions just given are all there are; otherwise libedit goes on with names of files.
static inline void editline_complete_no_files(void) { rl_attempted_completion_over = 1; }

/// Shows the line anew where a suspended program goes on.
static inline void editline_resume(void) {
  rl_deprep_terminal();
  rl_prep_terminal(1);
  rl_forced_update_display();
}

#endif

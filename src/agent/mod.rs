//! Stage 4: who. Claude Code's command line, its stream, its answer.

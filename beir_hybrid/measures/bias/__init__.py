"""The measures of language bias: every module of this folder defines one."""

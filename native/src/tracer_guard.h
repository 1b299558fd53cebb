// The guard in the tracer's slot. A thread can have one tracer; ours never looks, so nobody else can.
#pragma once

/**
 * Forks the guard and waits until it traces this process and all threads it will have. Returns the guard's process id as
 * text, or why there is none, starting with a letter. Call with one thread, inside Landlock, before any filter.
 */
const char* sw_start_guard(void);

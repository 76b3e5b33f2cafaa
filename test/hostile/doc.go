// Package hostile holds no product code: its tests make repositories that mean harm, with the plumbing of the real git,
// and take them through fetching, rendering, planning and applying. Each is refused for one expected reason, no file is touched, no program
// is started and nobody but the Git server and the API server is spoken to; strace watches.
package hostile

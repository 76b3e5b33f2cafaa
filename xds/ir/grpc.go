package ir

import "slices"

// grpcStatuses are the names of gRPC's status codes, each at its number.
func grpcStatuses() []string {
	return []string{
		"OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS", "PERMISSION_DENIED",
		"RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS",
		"UNAUTHENTICATED",
	}
}

// ParseGRPCStatus gives the number of a gRPC status; false: none has that name.
func ParseGRPCStatus(name string) (uint32, bool) {
	i := slices.Index(grpcStatuses(), name)
	return uint32(max(i, 0)), i >= 0
}

// GRPCStatusName gives the name of a gRPC status, empty for a number that has none.
func GRPCStatusName(code uint32) string {
	if names := grpcStatuses(); int(code) < len(names) {
		return names[code]
	}
	return ""
}

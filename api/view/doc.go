// Package view holds the documents that the command line, the web page and notes share: shapes of the group
// view.sluice.dev that are printed and sent, never stored. Fields are only added. What is not known is null or left
// out, never zero.
//
// Everything here is derived from one stored object by a pure function; nothing here decides.
//
//	line := view.Status(ro).Line()
package view

package view

// ConversionReport says of every line of what was converted what became of it.
type ConversionReport struct {
	APIVersion string           `json:"apiVersion"`
	Kind       string           `json:"kind"`
	Files      []ConvertedFile  `json:"files"`
	Total      ConvertedFile    `json:"total"`
	Todo       int              `json:"todo"` // places where people have something to do
	Items      []ConversionItem `json:"items"`
}

// ConvertedFile counts the lines of a file: Kept, Changed, Dropped and Blank add up to Lines. A comment has the fate of what it
// stands above.
type ConvertedFile struct {
	Name    string `json:"name,omitempty"`
	Lines   int    `json:"lines"`
	Kept    int    `json:"kept"`
	Changed int    `json:"changed"`
	Dropped int    `json:"dropped"`
	Blank   int    `json:"blank"`
}

// Count adds a line of that fate; any other than kept, changed and dropped is blank.
func (f *ConvertedFile) Count(fate string) {
	switch fate {
	case "kept":
		f.Kept++
	case "changed":
		f.Changed++
	case "dropped":
		f.Dropped++
	default:
		f.Blank++
	}
}

// ConversionItem is what became of a part of a file.
type ConversionItem struct {
	File  string `json:"file"`
	Line  int    `json:"line"` // first
	To    int    `json:"to"`   // last
	Path  string `json:"path"`
	Fate  string `json:"fate"`           // kept, changed or dropped
	Code  string `json:"code,omitempty"` // S901 dropped, S902 changed, S903 something is left to do
	Words string `json:"words"`          // where it went, how it changed, or why it is gone
}

// Conversion makes the report.
func Conversion(files []ConvertedFile, items []ConversionItem) ConversionReport {
	r := ConversionReport{APIVersion: APIVersion, Kind: KindConversionReport, Files: files, Items: items}
	for _, f := range files {
		r.Total.Lines += f.Lines
		r.Total.Kept += f.Kept
		r.Total.Changed += f.Changed
		r.Total.Dropped += f.Dropped
		r.Total.Blank += f.Blank
	}
	for _, i := range items {
		if i.Code == "S903" {
			r.Todo++
		}
	}
	return r
}

// Lost reports that something was dropped, or is left for people to do.
func (r ConversionReport) Lost() bool {
	for _, i := range r.Items {
		if i.Code == "S901" || i.Code == "S903" {
			return true
		}
	}
	return false
}

"""`bertram report`: a run or a whole study as one HTML file that needs nothing else.

drawing, plots, gradient_plots   figures as inline SVG, in colours of the page
outcomes                         predictions beside the texts and gold labels they are about
honesty                          what a reader must know before the scores are believed
run_page, study_page             what is shown of a run, and of a folder of runs
page                             sections to HTML
write                            the command
"""

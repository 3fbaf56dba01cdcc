"""`bertram report`: a run or a whole study as one HTML file that needs nothing else.

drawing, plots, gradient_plots, forests   figures as inline SVG, in the colours of the page
outcomes                                  predictions beside their texts and gold labels
sanity_checks                             findings that a reader must know before the scores
run_page                                  page of a run: predictions, learning, gradients, distillation, origin
study_page                                page of a folder of runs: table_1_sections, ablation_sections, runs_sections
change_page                               page of a study of words over time
forest                                    forest.png of an ablation
page, write                               sections to HTML, and to a file
"""

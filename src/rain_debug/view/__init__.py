"""How an answer is drawn: charts as plain values, and the page around the module that draws them."""

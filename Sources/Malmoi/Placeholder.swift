// Malmoi

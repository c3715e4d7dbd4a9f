"""What draws: charts, heat map, tables, matrix, pictures, header."""

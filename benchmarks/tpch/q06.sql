-- What smaller discounts would have brought in, on lines that will probably come back.
-- complain: revenue
SELECT sum(l_extendedprice * l_discount) AS revenue
FROM lineitem l
WHERE l_shipdate >= DATE '1994-01-01' AND l_shipdate < DATE '1994-01-01' + INTERVAL 1 YEAR
  AND l_discount BETWEEN 0.05 AND 0.07 AND l_quantity < 24 AND predict(risk, l) = 'high'

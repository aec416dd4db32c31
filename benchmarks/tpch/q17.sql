-- What small orders of a part bring in a year, of those that will probably come back.
-- complain: avg_yearly
SELECT sum(l_extendedprice) / 7.0 AS avg_yearly
FROM lineitem l, part
WHERE p_partkey = l_partkey AND p_brand = 'Brand#23' AND p_container = 'MED BOX' AND predict(risk, l) = 'high'
  AND l_quantity < (SELECT 0.2 * avg(l_quantity) FROM lineitem WHERE l_partkey = p_partkey)
